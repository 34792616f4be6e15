"""The request headers for an upstream: the client's headers are cleaned, then the gateway's own are added."""

from __future__ import annotations

from bff import contract
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller
from gateway.access.request import Incoming
from gateway.headers.forwarded import ClientEndpoint, build_forwarded_headers
from gateway.headers.request import RawHeaders
from gateway.relay.person_headers import PersonHeaders
from gateway.relay.use import is_use
from gateway.upstream.choice import RouteUpstreams

UPSTREAM_HEADER = contract.HEADER_UPSTREAM.lower().encode("ascii")


def build_headers(
    incoming: Incoming, caller: Caller, chosen: RouteUpstreams, *, bearer: str, person: PersonHeaders
) -> RawHeaders:
    """Clean the client's headers; add Host, forwarded, identity, kit, bearer and shared-secret headers, each once."""
    route, facts = chosen.route, incoming.facts
    # A public route has no signed-in person, so a credential that is sent there is the client's own.
    cleaned = chosen.requests.clean(incoming.headers, keep_authorization=route.auth == "public")
    headers = [header for header in cleaned if header[0] != b"host"]
    client = ClientEndpoint(facts.address, "https" if facts.urls.is_secure else "http", facts.urls.host)
    headers.append((b"host", facts.urls.host.encode("ascii")))
    headers += build_forwarded_headers(client, prefix=chosen.prefix, request_id=facts.request_id)
    headers += person.identity(caller.live, route).headers
    headers += person.kit(caller, route).headers
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


def is_activity(incoming: Incoming, route: RouteSettings, caller: Caller) -> bool:
    """True if the person of a session can have caused the request: it is not a kit call, and no poll."""
    if caller.kit_client or caller.is_machine or caller.live is None:
        return False
    return is_use(incoming, route)
