"""The headers that tell an upstream who is calling: the identity headers, and what the page of a kit client gets."""

from __future__ import annotations

from bff import contract
from bff.access.forwarded_identity import assertion_line_bytes, forwarded, header_bytes
from bff.assembly import Bff
from bff.kit.credentials import KitCredentials
from bff.kit.views import KitViews
from bff.sessions.assertion import Assertion, Assertions
from bff.sessions.upstream_tokens import OutgoingToken
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller
from gateway.access.session_cache import LiveSession
from gateway.headers.identity import IdentityHeaders, build_identity_headers

ASSERTION = contract.HEADER_ASSERTION.lower().encode("ascii")
SESSION = contract.HEADER_SESSION.lower().encode("ascii")
NOBODY = Assertion("")


class PersonHeaders:
    """Builds these headers. What stays the same is built once for a session."""

    def __init__(
        self, kit: KitCredentials, views: KitViews, assertions: Assertions, *, several_providers: bool
    ) -> None:
        self._kit = kit
        self._views = views
        self._assertions = assertions
        self._several_providers = several_providers

    def identity(
        self, live: LiveSession | None, route: RouteSettings, *, most_bytes: int | None = None
    ) -> IdentityHeaders:
        """Return the headers that name the person to `route`; all are empty for nobody.

        Together they have at most `most_bytes`; None is what the route can take.
        """
        known = live.headers.get((route.id, most_bytes)) if live else None
        if known is not None:
            return known
        built = build_identity_headers(
            route.identity_headers,
            forwarded(live.identity, route.groups_forwarded) if live else None,
            subject_key=live.subject_key if live else "",
            several_providers=self._several_providers,
            claim_headers=route.claim_headers,
            most_bytes=header_bytes(route) if most_bytes is None else most_bytes,
        )
        if live:
            live.headers[route.id, most_bytes] = built
        return built

    def kit(self, caller: Caller, route: RouteSettings, *, line_bytes: int | None = None) -> IdentityHeaders:
        """Return the handshake assertion and the session handle for the page of a kit client; both are empty for
        nobody.

        The line of the assertion has at most `line_bytes`; None is what the route can take. Other routes get none.
        """
        if not route.kit:
            return IdentityHeaders([])
        live, client = caller.person, route.kit
        assertion, handle = NOBODY, ""
        if live is not None:
            room = assertion_line_bytes(route) if line_bytes is None else line_bytes
            assertion = self._handshake(live, client, line_bytes=room)
            handle = live.handles.get(client) or self._kit.handle_for(live.session.name, client=client)
            live.handles[client] = handle
        headers = [(ASSERTION, assertion.token.encode("ascii")), (SESSION, handle.encode("ascii"))]
        return IdentityHeaders(headers, assertion.omitted)

    def omitted(self, caller: Caller, route: RouteSettings, token: OutgoingToken | None) -> tuple[str, ...]:
        """Return the names of what `route` is not told, because it does not fit; () for nearly everybody."""
        if caller.person is None:
            return ()
        headers, kit = self.identity(caller.live, route), self.kit(caller, route)
        omitted = (*headers.omitted, *kit.omitted, *(token.omitted if token else ()))
        return tuple(dict.fromkeys(omitted)) if omitted else ()

    def _handshake(self, live: LiveSession, client: str, *, line_bytes: int) -> Assertion:
        made = live.handshakes.get((client, line_bytes))
        if made is None:
            session = self._views.seen(live.session, client)
            routes = self._views.route_paths(live.session, client)
            made = self._assertions.for_handshake(session, client=client, routes=routes, line_bytes=line_bytes)
            live.handshakes[client, line_bytes] = made
        return made


def person_headers(bff: Bff) -> PersonHeaders:
    """Build them from the parts of a process."""
    return PersonHeaders(bff.kit, bff.kit_views, bff.assertions, several_providers=len(bff.settings.providers) > 1)
