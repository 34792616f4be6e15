"""Check the names in `claim_headers`: none that the front door sets itself, and none that can be confused. Pure.

Application servers write `_` for `-`, and some for every other sign too. If a claim header had such a sign, a client
could send another header that the application reads under the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
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
OWN_NAME: Final = 'take a name of your own, as in "X-Department"'


def claim_header_faults(route: RouteSettings) -> Iterator[tuple[str, str, str]]:
    """Yield key, fault and fix for each name in `claim_headers` that may not be set there."""
    seen: set[str] = set()
    if sum(len(given) + len(claim.encode()) for given, claim in route.claim_headers.items()) > MOST_NAME_BYTES:
        yield "claim_headers", f"its names have more than {MOST_NAME_BYTES} bytes", "name fewer claims, or shorter"
    for given in route.claim_headers:
        name = given.lower()
        if not _NAME.match(given):
            yield "claim_headers", f"{given!r} is no header name of letters, digits and -", OWN_NAME
        elif name in _TAKEN or name.startswith(_TAKEN_PREFIXES) or (_is_remote(route) and name in _REMOTE):
            yield "claim_headers", f"{given} means something else already", OWN_NAME
        elif name in seen:
            yield "claim_headers", f"{given} is there twice, in two spellings", "keep one"
        seen.add(name)


def _is_remote(route: RouteSettings) -> bool:
    return route.identity_headers == "remote"
