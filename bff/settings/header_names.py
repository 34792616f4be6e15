"""Check the names of the headers that a route adds: none that means something already, and none that can be confused.
Pure.

They are the names in `claim_headers`, and `assertion_header`. Application servers write `_` for `-`, and some for every
other sign too. If an added header had such a sign, a client could send another header that the application reads under
the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bff.settings.tables import RouteSettings

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_TAKEN: Final = frozenset(
    {
        *("accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type"),
        *("cookie", "date", "dpop", "expect", "forwarded", "host", "keep-alive", "origin", "range", "te", "trailer"),
        *("transfer-encoding", "upgrade", "x-request-id"),
    }
)
_TAKEN_PREFIXES: Final = (
    *("access-control-", "if-", "proxy-", "sec-", "x-accel-", "x-auth-request", "x-forwarded", "x-original-"),
    *("x-sendfile", "x-vestibule"),
)
_REMOTE: Final = frozenset({"remote-user", "remote-groups", "remote-email", "remote-name"})
"""Headers that the preset `remote` sets. With another preset they are free."""
MOST_NAME_BYTES: Final = 1024
"""For all names of headers and claims of a route, so that a person's headers keep their bound without any value."""
MOST_ASSERTION_NAME_BYTES: Final = 64
OWN_NAME: Final = 'take a name of your own, as in "X-Department"'
ASSERTION_NAME: Final = 'take a name of your own, as in "X-JWT-Assertion", or leave it out: it is "Authorization" then'


def added_header_names(routes: Iterable[RouteSettings]) -> Iterator[str]:
    """Yield the names of all headers that `routes` add by their settings, so that no client may send them."""
    for route in routes:
        yield from route.claim_headers
        if route.assertion_header:
            yield route.assertion_header


def claim_header_faults(route: RouteSettings) -> Iterator[tuple[str, str, str]]:
    """Yield key, fault and fix for each name in `claim_headers` that may not be set there."""
    seen: set[str] = set()
    if sum(len(given) + len(claim.encode()) for given, claim in route.claim_headers.items()) > MOST_NAME_BYTES:
        yield "claim_headers", f"its names have more than {MOST_NAME_BYTES} bytes", "name fewer claims, or shorter"
    for given in route.claim_headers:
        if message := _fault(given, route):
            yield "claim_headers", message, OWN_NAME
        elif given.lower() in seen:
            yield "claim_headers", f"{given} is there twice, in two spellings", "keep one"
        seen.add(given.lower())


def assertion_header_faults(route: RouteSettings) -> Iterator[tuple[str, str, str]]:
    """Yield key, fault and fix for an `assertion_header` that may not be set, or that nothing is sent in."""
    given = route.assertion_header
    if not given:
        return
    if message := _fault(given, route):
        yield "assertion_header", message, ASSERTION_NAME
    elif len(given) > MOST_ASSERTION_NAME_BYTES:
        yield "assertion_header", f"has more than {MOST_ASSERTION_NAME_BYTES} characters", "take a shorter name"
    elif given.lower() in {name.lower() for name in route.claim_headers}:
        yield "assertion_header", f"{given} is in claim_headers too", "take another name for one of them"
    if route.token != "assertion":
        yield "assertion_header", f'no assertion is sent: token is "{route.token}"', 'set token = "assertion"'


def _fault(given: str, route: RouteSettings) -> str:
    """Return why the route may not add a header of this name; "" if it may."""
    name = given.lower()
    if not _NAME.match(given):
        return f"{given!r} is not a header name of letters, digits and -"
    is_taken = name in _TAKEN or name.startswith(_TAKEN_PREFIXES)
    if is_taken or (route.identity_headers == "remote" and name in _REMOTE):
        return f"{given} means something else already"
    return ""
