"""What an allowed request takes to its upstream about the caller: each header, with secrets and tokens described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from bff import contract
from bff.oidc.jwt_reading import unverified_claims
from bff.settings.tables import RouteSettings
from gateway.cli.routes.offline_door import Decided
from gateway.headers.identity import build_identity_headers

_NOT_SHOWN: Final = frozenset({"iat", "exp", "jti", "nbf"})


def outgoing_headers(decided: Decided, route: RouteSettings, *, is_machine: bool) -> Iterator[tuple[str, str]]:
    """Yield name and value of the headers that say who asks, in the order in which they are sent."""
    named = build_identity_headers(route.identity_headers, None, claim_headers=route.claim_headers).headers
    identity = {name for name, _ in named}
    described = {
        contract.HEADER_ASSERTION.lower().encode(): f"(who is signed in, signed for the kit client {route.kit})",
        contract.HEADER_SESSION.lower().encode(): f"(a handle of the session, for the kit client {route.kit})",
        contract.HEADER_UPSTREAM.lower().encode(): "(the route's upstream_secret)",
    }
    token_header = (route.assertion_header or "authorization").lower().encode()
    for name, value in decided.headers:
        text = value.decode("latin-1")
        if name in identity:
            yield name.decode(), text
        elif name in described:
            yield name.decode(), described[name] if text else ""
        elif name == token_header:
            scheme, _, token = text.rpartition(" ")
            described_token = f"({_token(token, route, is_machine=is_machine)})"
            yield name.decode(), f"{scheme} {described_token}".lstrip()


def _token(token: str, route: RouteSettings, *, is_machine: bool) -> str:
    whose = "the machine's own" if is_machine else "the person's"
    match route.token:
        case "assertion":
            claims = unverified_claims(token)
            said = ", ".join(f"{name} = {claims[name]}" for name in claims if name not in _NOT_SHOWN)
            return f"an assertion of this front door: {said}"
        case "access_token":
            return f"{whose} access token"
        case "id_token":
            return f"{whose} ID token"
        case "exchange":
            return f"a token exchanged for {whose} access token"
        case "client_credentials":
            return "the front door's own service token"
        case "none":
            return "the client's own, as it came"
        case unknown:
            assert_never(unknown)
