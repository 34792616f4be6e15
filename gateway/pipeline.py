"""The steps of every request, HTTP and WebSocket alike.

guard → origin and canonical path → /auth or route → credential → session → decide → headers → upstream. The guard is
part of the server (`gateway.serving.server`). A step refuses with an `AuthError`, which is rendered in one place.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.access.policy import Allowed, StepUp, decide
from bff.assembly import Bff
from bff.audit import attribute_events
from bff.browser.csrf import FetchMetadata
from bff.browser.request_facts import REFUSAL_KEY, wants_page
from bff.browser.return_to import is_local
from bff.browser.unasked import is_unasked
from bff.errors import AuthError, LoginRequired, NotFound
from bff.settings.tables import RouteSettings
from bff.web.pages import Page
from bff.web.problems import login_url, render_problem
from gateway.access.cors import answer_preflight, cors_headers, preflight_of
from gateway.access.credentials import Caller, origin_of_kit_call
from gateway.access.paths import forward_target
from gateway.access.request import Incoming, read_endpoint, read_request
from gateway.access.session_cache import SessionCache
from gateway.access_log import OWN_ROUTE, AccessLog, WatchedSend
from gateway.admission import Admission
from gateway.headers.spoofing import SpoofedIdentities
from gateway.launcher import launcher_page
from gateway.old_names import OldNames
from gateway.probe.answers import Probes
from gateway.problems import redirect_page, send_page, stamping
from gateway.relay.live_connections import Connection, LiveConnections
from gateway.relay.outgoing import build_headers, is_activity
from gateway.relay.person_headers import person_headers
from gateway.relay.relaying import Relaying
from gateway.upstream.choice import RouteUpstreams

NO_WAY_BACK = "Please sign in. You will come to the start page: nobody can be sent back to this address."
NAVIGABLE = frozenset({"GET", "HEAD"})


class Pipeline:
    """Serves `http` and `websocket` scopes. `gateway.app` makes one per worker."""

    def __init__(
        self,
        bff: Bff,
        auth_app: ASGIApp,
        upstreams: dict[str, RouteUpstreams],
        cache: SessionCache,
        *,
        old_names: ASGIApp | None = None,
    ) -> None:
        self._bff = bff
        self._server = bff.settings.server
        self._auth_app = auth_app
        self._upstreams = upstreams
        self._cache = cache
        self._admission = Admission(bff, cache)
        self._old_names = OldNames(bff, cache, self._admission.routes, old_names) if old_names else None
        self._spoofed = SpoofedIdentities(bff.audit, clock=bff.clock)
        self._person = person_headers(bff)
        self._access = AccessLog(enabled=bff.settings.log.access)
        self._log = structlog.get_logger("vestibule.gateway")
        self.connections = LiveConnections(
            is_live=self._is_live,
            is_allowed=self._is_allowed,
            outage_seconds=bff.settings.store.outage_seconds,
            clock=bff.clock,
        )
        self._relaying = Relaying(bff, self.connections, cache)
        self._probes = Probes(bff, {route_id: chosen.requests for route_id, chosen in upstreams.items()})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its endpoint to its answer."""
        started = perf_counter()
        client, request_id = read_endpoint(scope, self._server)
        attribute_events(client=client.address, request_id=request_id)
        self._spoofed.note_unproven_proxy(client)
        status = self._access.watching(stamping(send, request_id, secure=self._bff.urls.is_secure))
        incoming: Incoming | None = None
        try:
            if await self._probes.serve(scope, client, receive, status.send):
                return
            if self._old_names is not None and await self._old_names.serve_health(scope, status.send):
                return
            incoming = read_request(
                scope, client, request_id=request_id, origins=self._bff.origins, server=self._server
            )
            is_auth = self._admission.belongs_to_auth(incoming)
            route = self._admission.match(incoming)
            status.route = OWN_ROUTE if is_auth else route.id if route else ""
            self._admission.check_address(incoming, route)
            if self._is_public_health(incoming):
                await send_page(scope, status.send, _health())
            elif is_auth:
                await self._serve_auth(incoming, receive, status)
            elif self._admission.has_old_name(incoming):
                await self._serve_old_name(incoming, receive, status)
            else:
                await self._serve_route(incoming, route, receive, status)
        except AuthError as error:
            if incoming is not None and self._is_unasked(incoming, error):
                await send_page(scope, status.send, _nothing())
                return
            self._bff.audit.refusal(error)
            await self._refuse(incoming, error, scope, status, request_id=request_id)
        except ClientDisconnect:
            pass  # the client has gone: nobody would get an answer
        except Exception as error:
            self._log.error("unexpected_error", kind=type(error).__name__, request_id=request_id, exc_info=True)
            await self._refuse(incoming, AuthError(), scope, status, request_id=request_id)
        finally:
            self._access.write(
                scope,
                client.address,
                request_id,
                status.route,
                status.status,
                perf_counter() - started,
                code=status.code,
            )

    async def aclose(self) -> None:
        """Stop the background tasks. Returns when they have ended."""
        await self._relaying.activity.aclose()
        await self.connections.aclose()

    async def _serve_route(
        self, incoming: Incoming, route: RouteSettings | None, receive: Receive, status: WatchedSend
    ) -> None:
        if incoming.facts.is_internal:
            asking = await self._admission.credentials.identify(incoming, None)
            urls = origin_of_kit_call(
                asking,
                incoming.path,
                routes=self._admission.routes,
                origins=self._bff.origins,
                kit_clients=self._bff.settings.kit_clients,
            )
            incoming = incoming.at(urls)
            self._admission.check_place(incoming)
            route = self._admission.match(incoming)
            status.route = route.id if route else ""
        if route is not None:
            status.further = cors_headers(incoming.facts.fetch.origin, route)
            if await self._answered_preflight(incoming, route, status):
                return
        if route is None or route.id not in self._upstreams:
            caller = await self._admission.credentials.identify(incoming, route)
            await self._serve_nowhere(incoming, route, caller, status.send)
            return
        caller = await self._admission.caller_of(incoming, route)
        self._admission.check(incoming, route, caller)
        if incoming.scope["type"] == "http":
            if _needs_slash(incoming, route):
                await send_page(incoming.scope, status.send, redirect_page(_with_slash(incoming), status=308))
                return
            await self._relaying.streamlit.check_upload(incoming, route, caller)
        await self._relay(incoming, caller, self._upstreams[route.id], receive, status.send)

    async def _answered_preflight(self, incoming: Incoming, route: RouteSettings, status: WatchedSend) -> bool:
        wanted = preflight_of(incoming.method, incoming.headers) if incoming.scope["type"] == "http" else None
        if wanted is None:
            return False
        answer = answer_preflight(wanted, incoming.facts.fetch.origin, incoming.headers, route)
        await send_page(incoming.scope, status.send, answer)
        return True

    async def _relay(
        self, incoming: Incoming, caller: Caller, chosen: RouteUpstreams, receive: Receive, send: Send
    ) -> None:
        live = caller.live
        token = await self._bff.upstream_tokens.for_route(chosen.route, live.session if live else None)
        if live is not None and is_activity(incoming, chosen.route, caller):
            await self._cache.slide(live)
        if live is not None and (omitted := self._person.omitted(caller, chosen.route, token)):
            await self._bff.omissions.note(live.session, omitted, route=chosen.route.id)
        self._spoofed.note(incoming.headers, incoming.client, chosen.requests, route=chosen.route.id)
        headers = build_headers(incoming, caller, chosen, bearer=token.token if token else "", person=self._person)
        if incoming.scope["type"] == "websocket":
            await self._relaying.websocket(incoming, caller, chosen, headers, receive, send)
        else:
            await self._relaying.http(incoming, caller, chosen, headers, receive, send)

    async def _serve_nowhere(self, incoming: Incoming, route: RouteSettings | None, caller: Caller, send: Send) -> None:
        """Answer an address without an upstream here: nothing, a sign-in first, or the list of applications."""
        if caller.live is None and not (route is not None and route.auth == "public"):
            raise LoginRequired()
        if (
            caller.live is None
            or incoming.path != "/"
            or incoming.scope["type"] != "http"
            or incoming.method not in NAVIGABLE
        ):
            raise NotFound()
        urls = incoming.facts.urls
        page = launcher_page(caller.live, self._admission.routes.on_host(urls.host), urls=urls, now=self._bff.clock())
        await send_page(incoming.scope, send, page)

    async def _serve_auth(self, incoming: Incoming, receive: Receive, status: WatchedSend) -> None:
        if incoming.scope["type"] == "websocket":
            raise NotFound()
        own = {"path": incoming.path, "raw_path": incoming.raw_path, "root_path": "", REFUSAL_KEY: status.note_refusal}
        await self._auth_app({**incoming.scope, **own}, receive, status.send)

    async def _serve_old_name(self, incoming: Incoming, receive: Receive, status: WatchedSend) -> None:
        if self._old_names is None:
            raise NotFound()
        status.route = "oauth2"
        await self._old_names.serve(incoming, receive, status)

    def _is_public_health(self, incoming: Incoming) -> bool:
        return incoming.path == "/healthz" and self._server.public_health

    async def _refuse(
        self,
        incoming: Incoming | None,
        error: AuthError,
        scope: Scope,
        status: WatchedSend,
        *,
        request_id: str,
    ) -> None:
        if status.status:
            return  # too late for an answer: returning makes the server cut the connection
        send = status.send
        urls = incoming.facts.urls if incoming else self._bff.urls
        here = incoming.here if incoming else "/"
        fetch = incoming.facts.fetch if incoming else FetchMetadata.from_headers(scope["headers"])
        page = wants_page(fetch, scope["headers"])
        if scope["type"] == "websocket":
            page = False
        elif page and error.status == 401 and incoming is not None and self._may_return(incoming):
            # An empty segment is a crafted path far more often than a page: the sign-in notes it in the audit log.
            if is_local(here, own_origin=urls.origin) or "//" in here.partition("?")[0]:
                await send_page(scope, send, redirect_page(login_url(urls, here)))
                return
            error, here = LoginRequired(error.code, NO_WAY_BACK), urls.base_path + "/"
        status.note_refusal(error.code)
        problem = render_problem(error, navigation=page, request_id=request_id, urls=urls, return_to=here)
        await send_page(scope, send, problem)

    def _is_unasked(self, incoming: Incoming, error: AuthError) -> bool:
        page = wants_page(incoming.facts.fetch, incoming.headers)
        is_http = incoming.scope["type"] == "http"
        return is_http and not page and is_unasked(incoming.path, incoming.method, error)

    def _may_return(self, incoming: Incoming) -> bool:
        """True for a navigation that can be repeated after sign-in. A person never comes back to an API's address."""
        route = self._admission.routes.match(incoming.facts.urls.host, incoming.path)
        return incoming.method in NAVIGABLE and (route is None or route.kind != "api")

    async def _is_live(self, connection: Connection) -> bool:
        if connection.machine is not None:
            return not await self._admission.machines.is_revoked(connection.machine)
        return await self._cache.get(connection.record_name) is not None

    async def _is_allowed(self, connection: Connection) -> bool:
        live = connection.machine or await self._cache.get(connection.record_name)
        if live is None:
            return False
        now = self._bff.clock()
        return isinstance(decide(connection.route, live.identity, scopes=live.scopes, now=now), Allowed | StepUp)


def _needs_slash(incoming: Incoming, route: RouteSettings) -> bool:
    """True for the address of a page route itself without its slash, where the app's relative links would miss."""
    return route.strip_prefix and route.kind == "page" and incoming.path == route.path.rstrip("/")


def _with_slash(incoming: Incoming) -> str:
    target = forward_target(incoming.raw_path + b"/", incoming.scope["query_string"])
    return replace(incoming, raw_path=target.partition(b"?")[0]).here


def _health() -> Page:
    return Page(200, [("content-type", "text/plain"), ("cache-control", "no-store")], b"ok\n")


def _nothing() -> Page:
    """Build an empty 404. Nobody may keep it: the application may have an icon for who is signed in."""
    return Page(404, [("content-type", "text/plain"), ("cache-control", "no-store")], b"")
