"""Places in the tables of the configuration: how they are written, and which findings a broken one puts in doubt."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from bff.settings_faults import Place

PARTS = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
LEANS_ON = {
    "audience": ("accept_bearer",),
    "client_key": ("client_auth", "client_key_alg"),
    "client_secret": ("client_auth",),
    "idle_seconds": ("absolute_seconds",),
    "origins": ("public_url",),
    "trusted_host_header": ("trusted_proxies",),
}
"""Key → keys beside it. When one of those is broken, what the rules say of the first may be no fault of its own."""
LEANS_ON_PLACES: dict[str, tuple[Place, ...]] = {
    "host": (("server", "public_url"), ("server", "origins")),
    "path": (("server", "auth_path"),),
    "workers": (("store", "url"), ("routes",)),
}
REFERS_TO = {"kit": "kit_clients", "provider": "providers", "providers": "providers", "routes": "routes"}
"""Key → the table in which it names an entry: with a broken entry there, "no such" may be untrue."""


def place_of(key: str) -> Place:
    """`routes[0].kit` as a path."""
    return tuple(int(number) if number else word for number, word in PARTS.findall(key))


def key_of(place: Place) -> str:
    """A path as people read it."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")


def route_name(tables: Mapping[str, Any], place: Place) -> str:
    """Id of the route that `place` lies in: a number alone makes the reader count."""
    try:
        return str(tables["routes"][place[1]]["id"]) if place[0] == "routes" else ""
    except (IndexError, KeyError, TypeError):
        return ""


def is_doubtful(place: Place, broken: Collection[Place]) -> bool:
    """True when a finding at `place` may only follow from what is broken, and would send the reader astray."""
    if any(_overlap(place, other) for other in broken):
        return True
    last = place[-1]
    beside = {(*place[:-1], name) for name in LEANS_ON.get(str(last), ())}
    elsewhere = {*LEANS_ON_PLACES.get(str(last), ())}
    if any(_overlap(one, other) for one in beside | elsewhere for other in broken):
        return True
    table = REFERS_TO.get(str(last)) if len(place) > 1 else None
    return any(other[0] == table and (len(other) < 3 or other[-1] == "id") for other in broken)


def _overlap(one: Place, other: Place) -> bool:
    """True when they are the same or one lies in the other."""
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))
