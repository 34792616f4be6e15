"""Find out who is calling: a browser with its session cookie, a page's server with the kit credential, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bff.assembly import Bff
from bff.browser.cookies import cookie_headers, mentions_cookie
from bff.errors import BadRequest, Forbidden, LoginRequired
from bff.settings.public_urls import PublicUrls, urls_of_origin
from bff.settings.tables import KitClientSettings, RouteSettings
from gateway.access.request import KIT_HEADER, SESSION_HEADER, Incoming, single_header
from gateway.access.routes import RouteTable
from gateway.access.session_cache import LiveSession, SessionCache


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `live` is None if nobody is signed in; `kit_client` is "" for browsers."""

    live: LiveSession | None
    kit_client: str = ""
    is_machine: bool = False

    @property
    def person(self) -> LiveSession | None:
        """The live session of a person: it has a record, and can be extended and ended."""
        return None if self.is_machine else self.live


class Credentials:
    """Reads credentials from a request and finds their session."""

    def __init__(self, bff: Bff, cache: SessionCache) -> None:
        self._bff = bff
        self._cache = cache

    async def identify(self, incoming: Incoming, route: RouteSettings | None) -> Caller:
        """Return the caller of a request to `route`, which is None for an address without a route.

        A public route knows nobody: it ignores the cookie and a kit's handle. It still checks a kit credential, because
        that is why a Host of `internal_hosts` is accepted.

        Raises:
            BadRequest: a kit credential together with a session cookie, or twice.
            LoginRequired: `kit_credential`; `kit_handle`, also for a session of another public host.
            StoreUnavailable: the store does not answer.
        """
        knows_nobody = route is not None and route.auth == "public"
        credential = single_header(incoming.headers, KIT_HEADER, code="kit_credential_twice")
        if credential is not None:
            return await self._kit_caller(incoming, credential, knows_nobody=knows_nobody)
        name = "" if knows_nobody else self._bff.presented_record(incoming.headers)
        live = await self._cache.get(name) if name else None
        if live is not None and not self._bff.belongs_to(live.session, incoming.facts.urls):
            live = None
        return Caller(live)

    async def _kit_caller(self, incoming: Incoming, credential: str, *, knows_nobody: bool) -> Caller:
        if mentions_cookie(cookie_headers(incoming.headers), self._bff.cookie_names.session):
            raise BadRequest("kit_with_cookie", detail="a kit credential beside a session cookie")
        handle = single_header(incoming.headers, SESSION_HEADER, code="kit_handle_twice") or ""
        call = self._bff.kit.open_call(credential, "" if knows_nobody else handle)
        live = await self._cache.get(call.record_name) if call.record_name else None
        if live is not None and not incoming.facts.is_internal and live.session.origin != incoming.facts.urls.origin:
            raise LoginRequired("kit_handle", detail=f"its session belongs to {live.session.origin}")
        return Caller(live, call.client)


def origin_of_kit_call(
    caller: Caller,
    path: str,
    *,
    routes: RouteTable,
    origins: Mapping[str, PublicUrls],
    kit_clients: Mapping[str, KitClientSettings],
) -> PublicUrls:
    """Return the origin of an internal call: that of its session.

    If nobody is signed in on the page, it is the first origin at which `path` is a route of the kit client.

    Raises:
        LoginRequired: `kit_handle`, the session's origin is not served any more.
    """
    if caller.live is not None:
        urls = urls_of_origin(origins, caller.live.session.origin)
        if urls is None:
            raise LoginRequired("kit_handle", detail="its session belongs to an origin that is not served any more")
        return urls
    own = kit_clients[caller.kit_client].routes if caller.kit_client else ()
    found = ((urls, routes.match(urls.host, path)) for urls in origins.values())
    return next((urls for urls, route in found if route is not None and route.id in own), next(iter(origins.values())))


def check_kit_route(caller: Caller, route: RouteSettings, kit_clients: Mapping[str, KitClientSettings]) -> None:
    """Check that a kit client calls only its own routes.

    Raises:
        Forbidden: `kit_route`.
    """
    if caller.kit_client and route.id not in kit_clients[caller.kit_client].routes:
        raise Forbidden("kit_route", "This application may not call that API.")
