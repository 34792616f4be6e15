"""Find settings that have no effect on a route that lets everybody in, and would only look like protection. Pure.

A public route knows nobody, so its upstream gets nothing about a person. An optional one says who is there. A rule
on it would let strangers in and keep signed-in people out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bff.settings.tables import RouteSettings

TOKENS_OF_NOBODY: Final = frozenset({"none", "client_credentials"})
"""`client_credentials` is the server's own token: every caller gets the same one."""
SIGN_IN_FIX: Final = 'use auth = "required"'
KNOW_FIX: Final = 'use auth = "optional" or "required": a public route knows nobody'


def open_route_faults(route: RouteSettings) -> Iterator[tuple[str, str, str]]:
    """Yield key, fault and fix for each setting of `route` that has no effect with its `auth`."""
    if route.auth == "required":
        return
    kind = f"on a route with auth = {route.auth!r}".replace("'", '"')
    if route.require != type(route.require)():
        yield "require", kind, SIGN_IN_FIX
    if route.provider and route.token != "client_credentials":
        yield "provider", kind, SIGN_IN_FIX
    if route.auth == "optional":
        return
    if route.kit:
        yield "kit", kind, KNOW_FIX
    if route.claim_headers:
        yield "claim_headers", kind, KNOW_FIX
    if route.accept_bearer.providers:
        yield "accept_bearer.providers", kind, KNOW_FIX
    if route.token not in TOKENS_OF_NOBODY:
        yield "token", f"{route.token} is a person's, {kind}", f'{KNOW_FIX}; "client_credentials" is the server\'s own'
