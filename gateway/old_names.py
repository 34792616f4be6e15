"""`/oauth2/auth`, `/ping` and `/ready`: what proxies and probes that knew oauth2-proxy go on asking.

`/oauth2/auth` is on the public listener, and gets no address: a header that names one may come from the client. So it
decides about no route. It says yes only to a person whom every route of this host lets in, and whom the rules of the
query let in too. Scripts of a page can call it. So its answer never has a token, an assertion or a handle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import Final, assert_never

from starlette.types import ASGIApp, Receive, Scope, Send

from bff import contract
from bff.access.policy import Allowed, Demands, Denied, StepUp, decide, demands_of
from bff.assembly import Bff
from bff.browser.csrf import check_same_origin
from bff.browser.request_facts import REFUSAL_KEY
from bff.errors import AuthError, Forbidden, LoginRequired, NotFound, StoreUnavailable
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import RouteSettings
from bff.web.old_names import REDIRECT_KEY
from bff.web.old_requests import read_rules
from bff.web.pages import Page
from bff.web.problems import render_problem
from gateway.access.request import KIT_HEADER, Incoming
from gateway.access.routes import RouteTable
from gateway.access.session_cache import LiveSession, SessionCache
from gateway.access_log import WatchedSend
from gateway.headers.identity import build_identity_headers
from gateway.headers.request import RawHeaders
from gateway.problems import send_page, status_for_proxies

SENT: Final = frozenset(
    {
        b"x-auth-request-user",
        b"x-auth-request-email",
        b"x-auth-request-groups",
        b"x-auth-request-preferred-username",
        contract.HEADER_OMITTED.lower().encode("ascii"),
    }
)
"""The headers of a yes."""
FIXED_BYTES: Final = 400
"""Room for what is in each answer: status, date, length, caching, the request id."""
PROBE_SECONDS: Final = 2
_REDIRECT: Final = b"x-auth-request-redirect"
_TEXT: Final = [("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]


class OldNames:
    """Serves `/oauth2` and the two addresses of probes. Made once per worker, with `compat.oauth2_proxy`."""

    def __init__(self, bff: Bff, cache: SessionCache, routes: RouteTable, app: ASGIApp) -> None:
        self._bff = bff
        self._cache = cache
        self._routes = routes
        self._app = app
        self._roles_are_groups = any(one.profile == "keycloak" for one in bff.settings.providers.values())
        self._most_bytes = bff.settings.forward_auth.head_bytes - FIXED_BYTES
        taken = {route.path.rstrip("/") for route in bff.settings.routes}
        self._health = {
            (bff.urls.base_path + path).encode("ascii"): path
            for path in (contract.PING, contract.READY)
            if path not in taken
        }

    async def serve_health(self, scope: Scope, send: Send) -> bool:
        """Answer a probe, whatever its Host: probes ask by address. False, and nothing is sent, if it is none."""
        path = self._health.get(scope.get("raw_path") or b"")
        if path is None or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return False
        page = Page(200, list(_TEXT), b"OK")
        if path == contract.READY:
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._bff.store.ping()
            except (StoreUnavailable, TimeoutError):
                page = Page(503, list(_TEXT), b"the store does not answer")
        await send_page(scope, send, page)
        return True

    async def serve(self, incoming: Incoming, receive: Receive, status: WatchedSend) -> None:
        """Answer a request below `/oauth2`.

        Raises:
            NotFound: no such name. Only its usual spelling counts.
        """
        if incoming.scope["type"] != "http" or incoming.raw_path != incoming.path.encode("utf-8", "surrogateescape"):
            raise NotFound()
        if incoming.path == contract.OAUTH2_AUTH:
            await self._answer(incoming, status)
            return
        values = [value for name, value in incoming.headers if name == _REDIRECT]
        said = values[0].decode("latin-1") if len(values) == 1 and incoming.client.is_through_proxy else ""
        own = {
            **{"path": incoming.path, "raw_path": incoming.raw_path, "root_path": ""},
            **{REFUSAL_KEY: status.note_refusal, REDIRECT_KEY: said},
        }
        await self._app({**incoming.scope, **own}, receive, status.send)

    async def _answer(self, incoming: Incoming, status: WatchedSend) -> None:
        """Say yes or no to a proxy. A no is 401 or 403, and a failure 5xx: nginx knows nothing else."""
        try:
            headers = await self._identity(incoming)
        except AuthError as error:
            self._bff.audit.refusal(error)
            status.note_refusal(error.code)
            urls = _with_old_names(incoming)
            page = render_problem(
                error,
                navigation=False,
                request_id=incoming.facts.request_id,
                urls=urls,
                return_to=urls.base_path + "/",
            )
            await send_page(incoming.scope, status.send, Page(status_for_proxies(error), page.headers, page.body))
            return
        yes = self._bff.settings.compat.oauth2_proxy_auth_status
        ending = [(b"cache-control", b"no-store"), (b"content-length", b"0")]
        await status.send({"type": "http.response.start", "status": yes, "headers": [*headers, *ending]})
        await status.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _identity(self, incoming: Incoming) -> RawHeaders:
        """Return the headers of a yes.

        Raises:
            Forbidden: another site asks, a rule does not hold, or one cannot be read.
            LoginRequired: nobody is signed in, or another sign-in is needed.
            StoreUnavailable: the store does not answer.
        """
        facts = incoming.facts
        if any(name == KIT_HEADER for name, _ in incoming.headers):
            raise Forbidden("kit_credential", "This call must go to the front door.", detail="a kit call at /oauth2")
        rules = read_rules(incoming.scope["query_string"])
        # The method of the original request is not known. Browsers send `Origin` with a form, and with no link.
        method = "POST" if facts.fetch.is_navigation and facts.fetch.origin else "GET"
        check_same_origin(method, facts.fetch, origin=facts.urls.origin, strict_reads=False)
        name = self._bff.presented_record(incoming.headers)
        live = await self._cache.get(name) if name else None
        if live is None or not self._bff.belongs_to(live.session, facts.urls):
            raise LoginRequired()
        self._check_routes(live, facts.urls.host)
        if key := rules.unmet(live.identity, roles_are_groups=self._roles_are_groups):
            raise self._denied(live, "", key, Forbidden(message="You are not allowed to do this.", detail=key))
        if self._cache.is_slide_due(live):
            await self._cache.slide(live)
        named = build_identity_headers("x-auth-request", live.identity, most_bytes=self._most_bytes)
        if named.omitted:
            await self._bff.omissions.note(live.session, named.omitted, route="oauth2")
        return [line for line in named.headers if line[0] in SENT]

    def _check_routes(self, live: LiveSession, host: str) -> None:
        """Return if every route of `host` lets this person in. Public routes know nobody, so they say nothing.

        Without a route nobody passes: a host where everything is open to every account must be configured so.
        """
        every = [route for route in self._routes.on_host(host) if route.auth != "public"]
        if not every:
            raise Forbidden(detail=f"{host} has no route that asks for a sign-in; add one, without an upstream")
        again = ""
        for route in every:
            decision = decide(route, live.identity, scopes=live.scopes, now=self._bff.clock())
            match decision:
                case Allowed():
                    continue
                case StepUp(unmet):
                    again = again or unmet
                case Denied():
                    raise self._denied(live, route.id, decision.reason, decision.as_error(route, live.identity))
                case unknown:
                    assert_never(unknown)
        if again == "acr" and not can_be_met(every):
            detail = "no sign-in meets acr_any of every route; let the proxy ask /auth/verify, which knows the address"
            raise self._denied(live, "", "require.acr", Forbidden(detail=detail))
        if again:
            raise LoginRequired("step_up_required", "Please sign in once more for this.", detail=again)

    def _denied(self, live: LiveSession, route: str, reason: str, error: Forbidden) -> Forbidden:
        self._bff.audit.event("access_denied", session=live.session, route=route, reason=reason, detail=error.detail)
        error.is_audited = True
        return error


def demands_together(routes: Iterable[RouteSettings]) -> Demands:
    """Return what a sign-in must ask of the provider so that it does for all `routes`, as far as one can."""
    return reduce(_strictest, map(demands_of, routes), Demands())


def can_be_met(routes: Iterable[RouteSettings]) -> bool:
    """True if one `acr` does for all routes that want one."""
    wanted = [set(route.require.acr_any) for route in routes if route.require.acr_any]
    return not wanted or bool(set.intersection(*wanted))


def _strictest(one: Demands, other: Demands) -> Demands:
    ages = [age for age in (one.max_age, other.max_age) if age is not None]
    both = tuple(value for value in one.acr_values if value in other.acr_values)
    return Demands(
        provider=one.provider or other.provider,
        max_age=min(ages) if ages else None,
        acr_values=both or one.acr_values or other.acr_values,
    )


def _with_old_names(incoming: Incoming) -> PublicUrls:
    return replace(incoming.facts.urls, has_old_names=True)
