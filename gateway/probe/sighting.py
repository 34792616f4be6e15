"""What arrived at the door with a probe, as the answer says it. Every text has a bounded length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.types import Scope

from gateway.headers.forwarded import ClientEndpoint
from gateway.headers.request import RequestHygiene, identity_entry

FORWARDED: Final = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-real-ip")
"""Headers in which proxies say where a request came from."""
_MOST_NAMES: Final = 50
_MOST_VALUES: Final = 8
_MOST_CHARACTERS: Final = 200


def describe_arrival(
    scope: Scope, client: ClientEndpoint, *, nonce: str, hygienes: Iterable[tuple[str, RequestHygiene]]
) -> dict[str, Any]:
    """Say what the door received, and what of it an upstream would get. `hygienes` are the routes' ids and rules.

    `client` is whom the door takes for the client. `passing` are headers about identity that a route would pass on.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    peer = scope["client"][0] if scope.get("client") else ""
    return {
        "nonce": nonce,
        "host": _values(headers, "host"),
        "peer": peer,
        "client": client.address,
        "scheme": client.scheme,
        "asked_host": _short(client.host),
        "through_proxy": client.is_through_proxy,
        "unproven_proxy": client.is_unproven_proxy,
        "forwarded": {name: values for name in FORWARDED if (values := _values(headers, name))},
        "identity": sorted({_short(name) for name, _ in headers if identity_entry(name)})[:_MOST_NAMES],
        "passing": _passing(headers, hygienes),
        "cookies": sum(name == b"cookie" for name, _ in headers),
        "upgrade": _values(headers, "upgrade"),
        "version": str(scope.get("http_version", "")),
        "header_bytes": sum(len(name) + len(value) + 4 for name, value in headers),
    }


def _passing(
    headers: Sequence[tuple[bytes, bytes]], hygienes: Iterable[tuple[str, RequestHygiene]]
) -> dict[str, list[str]]:
    found = {}
    for route, hygiene in hygienes:
        names = sorted({_short(name) for name, _ in hygiene.clean(headers) if identity_entry(name)})
        if names:
            found[route] = names[:_MOST_NAMES]
    return found


def _values(headers: Sequence[tuple[bytes, bytes]], name: str) -> list[str]:
    wanted = name.encode("ascii")
    return [_short(value) for given, value in headers if given == wanted][:_MOST_VALUES]


def _short(value: bytes | str) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text[:_MOST_CHARACTERS]
