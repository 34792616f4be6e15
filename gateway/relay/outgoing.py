"""The request headers for an upstream: the client's headers are cleaned, then the gateway's own are added."""

from __future__ import annotations

from bff import contract
from bff.access.forwarded_identity import forwarded, header_bytes
from bff.assembly import Bff
from bff.sessions.upstream_tokens import OutgoingToken
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller, kit_headers
from gateway.access.request import Incoming
from gateway.access.session_cache import LiveSession
from gateway.headers.forwarded import ClientEndpoint, build_forwarded_headers
from gateway.headers.identity import IdentityHeaders, build_identity_headers
from gateway.headers.request import RawHeaders
from gateway.relay.use import is_use
from gateway.upstream.choice import RouteUpstreams

UPSTREAM_HEADER = contract.HEADER_UPSTREAM.lower().encode("ascii")


def build_headers(incoming: Incoming, caller: Caller, chosen: RouteUpstreams, *, bearer: str, bff: Bff) -> RawHeaders:
    """Clean the client's headers; add Host, forwarded, identity, kit, bearer and shared-secret headers, each once."""
    route, facts = chosen.route, incoming.facts
    # A public route has no signed-in person, so a credential that is sent there is the client's own.
    cleaned = chosen.requests.clean(incoming.headers, keep_authorization=route.auth == "public")
    headers = [header for header in cleaned if header[0] != b"host"]
    client = ClientEndpoint(facts.address, "https" if facts.urls.is_secure else "http", facts.urls.host)
    headers.append((b"host", facts.urls.host.encode("ascii")))
    headers += build_forwarded_headers(client, prefix=chosen.prefix, request_id=facts.request_id)
    headers += identity_headers(caller.live, route, bff).headers
    headers += kit_headers(caller, route, bff).headers
    if secret := route.upstream_secret.get_secret_value():
        headers.append((UPSTREAM_HEADER, secret.encode("ascii")))
    token = token_headers(route, bearer)
    names = {name for name, _ in token}
    return [*(header for header in headers if header[0] not in names), *token]


def token_headers(route: RouteSettings, token: str) -> RawHeaders:
    """Return the header with the route's token. A header that the route names is there, empty, without a token too:
    then no other program's value can take its place.
    """
    if route.assertion_header:
        return [(route.assertion_header.lower().encode("ascii"), token.encode("ascii"))]
    return [(b"authorization", b"Bearer " + token.encode("ascii"))] if token else []


def identity_headers(live: LiveSession | None, route: RouteSettings, bff: Bff) -> IdentityHeaders:
    """Return the headers that name the person to `route`. They are built once for a session."""
    known = live.headers.get(route.id) if live else None
    if known is not None:
        return known
    built = build_identity_headers(
        route.identity_headers,
        forwarded(live.identity, route.groups_forwarded) if live else None,
        subject_key=live.subject_key if live else "",
        several_providers=len(bff.settings.providers) > 1,
        claim_headers=route.claim_headers,
        most_bytes=header_bytes(route),
    )
    if live:
        live.headers[route.id] = built
    return built


def omitted_from(caller: Caller, chosen: RouteUpstreams, token: OutgoingToken | None, bff: Bff) -> tuple[str, ...]:
    """Return the names of what the upstream is not told, because it does not fit; () for nearly everybody."""
    if caller.person is None:
        return ()
    headers, kit = identity_headers(caller.live, chosen.route, bff), kit_headers(caller, chosen.route, bff)
    omitted = (*headers.omitted, *kit.omitted, *(token.omitted if token else ()))
    return tuple(dict.fromkeys(omitted)) if omitted else ()


def is_activity(incoming: Incoming, route: RouteSettings, caller: Caller) -> bool:
    """True if the person of a session can have caused the request: it is not a kit call, and no poll."""
    if caller.kit_client or caller.is_machine or caller.live is None:
        return False
    return is_use(incoming, route)
