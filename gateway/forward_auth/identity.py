"""The headers of a yes: who is there, and the token for the upstream, within the length that the proxy reads."""

from __future__ import annotations

from collections.abc import Sequence

from bff.access.forwarded_identity import answer_room
from bff.assembly import Bff
from bff.errors import AuthError
from bff.settings.tables import ForwardAuthMode, RouteSettings
from gateway.access.credentials import Caller
from gateway.forward_auth.answers import FIXED_BYTES, size_of
from gateway.headers.cookies import select_cookies
from gateway.headers.request import RawHeaders
from gateway.relay.outgoing import token_headers
from gateway.relay.person_headers import PersonHeaders, person_headers

_AUTHORIZATION = b"authorization"


def cookies_for(mode: ForwardAuthMode, headers: RawHeaders, route: RouteSettings) -> RawHeaders:
    """Return the `Cookie` header for the application, without our cookies, for proxies that cannot change one cookie.

    Envoy keeps the client's header if the answer has none, so there it may be empty. Traefik removes it then. The other
    proxies remove our cookies themselves: nginx has no room for cookies in an answer.
    """
    if mode not in ("traefik", "envoy"):
        return []
    sent = (select_cookies(value, route.forward_cookies) for name, value in headers if name == b"cookie")
    kept = b"; ".join(value for value in sent if value)
    return [(b"cookie", kept)] if kept or mode == "envoy" else []


class AnsweredIdentity:
    """Builds the headers with which a proxy replaces those of its client."""

    def __init__(self, bff: Bff) -> None:
        self._bff = bff
        self._head_bytes = bff.settings.forward_auth.head_bytes
        self._person = person_headers(bff)
        self._of_others = _names_of_others(self._person, bff.settings.routes)

    async def headers(self, caller: Caller, route: RouteSettings) -> RawHeaders:
        """Return every header that any route gets of us, empty where there is nothing to say to this one.

        A proxy replaces only what the answer has. So a header that is left out would let the client's own through, and
        an application may believe a name that only another route has.

        Raises:
            AuthError: `head_too_long`, the provider's token does not fit; and what `UpstreamTokens.for_route` raises.
        """
        live = caller.live
        others = self._of_others[route.id]
        room = answer_room(route, most_bytes=self._head_bytes - FIXED_BYTES - size_of(others))
        token = await self._bff.upstream_tokens.for_route(
            route, live.session if live else None, line_bytes=room.assertion_line
        )
        bearer = _in_place_of_the_clients(token_headers(route, token.token if token else ""), route)
        kit = self._person.kit(caller, route, line_bytes=room.assertion_line)
        most = room.headers if route.token == "assertion" else room.headers - size_of(bearer)
        named = self._person.identity(live, route, most_bytes=most)
        built = [*named.headers, *kit.headers, *bearer, *others]
        if size_of(built) > self._head_bytes - FIXED_BYTES:
            detail = f"{size_of(built) + FIXED_BYTES} bytes; raise forward_auth.head_bytes and the proxy's own limit"
            raise AuthError("head_too_long", "This application cannot be told who you are.", detail=detail)
        omitted = (*named.omitted, *kit.omitted, *(token.omitted if token else ()))
        if omitted and caller.person is not None:
            await self._bff.omissions.note(caller.person.session, tuple(dict.fromkeys(omitted)), route=route.id)
        return built


def _names_of_others(person: PersonHeaders, routes: Sequence[RouteSettings]) -> dict[str, RawHeaders]:
    """Return, for each route id, the names that only other routes add, as empty headers."""
    own: dict[str, frozenset[bytes]] = {}
    for route in routes:
        headers = [*person.identity(None, route).headers, *person.kit(Caller(None), route).headers]
        sent = {name for name, _ in headers} | {route.assertion_header.lower().encode("ascii")}
        own[route.id] = frozenset(sent - {b""})
    every = sorted(frozenset().union(*own.values()))
    return {route_id: [(name, b"") for name in every if name not in names] for route_id, names in own.items()}


def _in_place_of_the_clients(token: RawHeaders, route: RouteSettings) -> RawHeaders:
    """Add an empty `Authorization` if `token` has none, so that the client's own goes no further.

    On a public route it does go on: nobody is known there, so a credential is the client's own matter.
    """
    if route.auth == "public" and not token:
        return []
    name = route.assertion_header.lower().encode("ascii")
    named = [(name, b"")] if name else []
    missing = [line for line in [(_AUTHORIZATION, b""), *named] if line[0] not in {sent for sent, _ in token}]
    return [*token, *missing]
