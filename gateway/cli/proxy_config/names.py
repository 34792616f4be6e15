"""Which headers a proxy replaces by what Vestibule answers, and which it removes from each request. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bff import contract
from bff.settings.tables import HeaderPreset, RouteSettings
from gateway.headers.identity import build_identity_headers

PRESETS: Final[tuple[HeaderPreset, ...]] = ("x-auth-request", "x-forwarded", "remote")
BELIEVED: Final = (
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Redirect",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Prefix",
    "X-Forwarded-Port",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Rewrite-URL",
    "X-Real-IP",
    contract.HEADER_ASSERTION,
    contract.HEADER_SESSION,
    contract.HEADER_KIT,
    contract.HEADER_PROXY,
    "X-WebAuth-User",
    "Forwarded",
    "Remote-User",
    "Remote-Name",
    "Remote-Email",
    "Remote-Groups",
)
"""Names that applications may believe, in the order of the files in `deploy/`."""
_VARIABLES: Final = {"x-auth-request-preferred-username": "username"}
_PREFIX: Final = "x-auth-request-"


def identity_names(routes: Iterable[RouteSettings]) -> list[str]:
    """Return the headers that say who somebody is on one of `routes`, each once."""
    found: dict[str, str] = {}
    for route in routes:
        built = build_identity_headers(route.identity_headers, None, claim_headers=route.claim_headers)
        names = [titled(name.decode("ascii")) for name, _ in built.headers]
        if route.kit:
            names += [contract.HEADER_ASSERTION, contract.HEADER_SESSION]
        if route.assertion_header:
            names.append(route.assertion_header)
        for name in names:
            found.setdefault(name.lower(), name)
    return [found[name] for name in found if name != "authorization"]


def removed_names(told: Sequence[str]) -> list[str]:
    """Return what applications may believe and none of the routes is told: a client must not set it either."""
    known = {name.lower() for name in told}
    presets = [
        titled(name.decode("ascii")) for preset in PRESETS for name, _ in build_identity_headers(preset, None).headers
    ]
    believed = dict.fromkeys([*presets, *BELIEVED])
    others = [name for name in believed if name.lower() not in known]
    order = {name: place for place, name in enumerate(BELIEVED)}
    return sorted(others, key=lambda name: order.get(name, -1))


def titled(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def variable_of(name: str) -> str:
    """The end of the name of the nginx variable that holds a header of the answer."""
    lower = name.lower()
    return _VARIABLES.get(lower) or lower.removeprefix(_PREFIX).replace("-", "_")
