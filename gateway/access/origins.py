"""Check that the page from which a request comes may send it: its origin for WebSockets, cross-site rules for HTTP."""

from __future__ import annotations

from bff.browser.csrf import check_same_origin, check_static_header
from bff.errors import Forbidden
from bff.settings.public_urls import canonical_origin
from bff.settings.tables import RouteSettings
from gateway.access.cors import is_allowed_origin
from gateway.access.credentials import Caller
from gateway.access.request import Incoming


def check_origin(incoming: Incoming, route: RouteSettings, caller: Caller) -> None:
    """Refuse a request that a page of another site sends in a person's name, and any socket of such a page.

    Raises:
        Forbidden: `ws_origin`, `csrf_cross_site`, `csrf_origin`, `csrf_missing`.
    """
    fetch = incoming.facts.fetch
    if incoming.scope["type"] == "websocket":
        allowed = {incoming.facts.urls.origin, *(canonical_origin(text.rstrip("/")) for text in route.ws_origins)}
        if canonical_origin(fetch.origin) not in allowed:
            raise Forbidden("ws_origin", "This connection came from another site.")
        return
    is_somebodys = caller.live is not None and not caller.kit_client and not caller.is_machine
    if not is_somebodys or route.csrf == "off" or is_allowed_origin(fetch.origin, route):
        return
    if route.csrf == "header":
        check_static_header(fetch)
    else:
        own = incoming.facts.urls.origin
        check_same_origin(incoming.method, fetch, origin=own, strict_reads=route.kind == "api")
