"""Build the front door as one ASGI application: `create_app(settings)`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.access.policy import Demands, Denied, decide, demands_of
from bff.assembly import Bff, assemble
from bff.contract import OAUTH2_PATH, CloseCode
from bff.errors import Forbidden
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import Settings
from bff.stores.protocol import Store
from bff.web.app import create_auth_app
from bff.web.old_names import create_old_names_app
from gateway.access.places import Places
from gateway.access.routes import RouteTable
from gateway.access.session_cache import SessionCache
from gateway.old_names import demands_together
from gateway.pipeline import Pipeline
from gateway.streamlit.paths import treatment
from gateway.upstream.asgi import AsgiUpstream
from gateway.upstream.choice import LocalUpstream, RouteUpstreams, build_upstreams


class RoutedTargets:
    """`bff.login.targets.Targets` from the route table: a sign-in returns to pages, but not to APIs and uploads."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._routes = RouteTable(settings.routes)
        self._places = Places(settings.routes, auth_path=settings.server.auth_path, treatment=treatment)

    def is_page(self, path: str, *, urls: PublicUrls) -> bool:
        base = urls.base_path
        if base and not (path + "/").startswith(base + "/"):
            return False
        inner, auth_path = path[len(base) :] or "/", urls.auth_path
        if any((inner + "/").startswith(own + "/") for own in (auth_path, OAUTH2_PATH)) or "/_stcore/" in inner + "/":
            return False
        if not self._places.is_one_place(urls.host, inner):
            return False
        route = self._routes.match(urls.host, inner)
        return route is None or route.kind in ("page", "static")

    def demands(self, path: str, *, urls: PublicUrls) -> Demands:
        route = self._routes.match(urls.host, path[len(urls.base_path) :] or "/")
        return demands_of(route) if route is not None else Demands()

    def demands_of_every_route(self, urls: PublicUrls) -> Demands:
        """Return what a sign-in needs so that a question without an address can be answered with yes."""
        return demands_together(self._routes.on_host(urls.host))

    def refusal(self, path: str, session: Session, *, urls: PublicUrls) -> Forbidden | None:
        route = self._routes.match(urls.host, path[len(urls.base_path) :] or "/")
        if route is None:
            return None
        decision = decide(route, session.identity, scopes=session.tokens.scopes, now=self._clock())
        return decision.as_error(route, session.identity) if isinstance(decision, Denied) else None

    def clears_storage(self, urls: PublicUrls) -> bool:
        return any(route.clear_storage_at_sign_out for route in self._routes.on_host(urls.host))


@dataclass(slots=True)
class GatewayApp:
    """The application: it handles the lifespan, and the pipeline handles all requests. `bff` and `cache` are for
    management and tests."""

    bff: Bff
    cache: SessionCache
    pipeline: Pipeline
    upstreams: dict[str, RouteUpstreams]
    _sweeper: asyncio.Task[None] | None = field(default=None, init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self.pipeline(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as exc:
            await send({"type": "lifespan.startup.failed", "message": f"{type(exc).__name__}: {exc}"})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self) -> None:
        """Start the applications of this process, and the task that closes expired connections."""
        for application in self._local_applications():
            await application.start()
        self._sweeper = asyncio.create_task(self.pipeline.connections.sweep_for_ever())

    async def stop(self) -> None:
        """Close sockets so that they reconnect elsewhere, let open work finish, release everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        self.pipeline.connections.close_all(int(CloseCode.SUPERSEDED), "restart")
        await self.pipeline.aclose()
        for chosen in self.upstreams.values():
            await chosen.aclose()
        self.cache.close()
        await self.bff.aclose()

    def _local_applications(self) -> list[AsgiUpstream]:
        every = (upstream for chosen in self.upstreams.values() for upstream in chosen.upstreams)
        return [upstream.application for upstream in every if isinstance(upstream, LocalUpstream)]


def create_app(
    settings: Settings,
    *,
    store: Store | None = None,
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
) -> GatewayApp:
    """Build the front door of `settings`. Tests pass their own `store`, `http` and `clock`."""
    bff = assemble(settings, store=store, http=http, clock=clock)
    cache = SessionCache(bff)
    targets = RoutedTargets(settings, clock=clock)
    auth_app: ASGIApp = create_auth_app(bff, targets)
    old_names: ASGIApp | None = None
    if settings.compat.oauth2_proxy:
        old_names = create_old_names_app(bff, targets, demands=targets.demands_of_every_route)
    upstreams = dict(build_upstreams(settings, base_path=bff.urls.base_path, audit=bff.audit))
    pipeline = Pipeline(bff, auth_app, upstreams, cache, old_names=old_names)
    bff.store.subscribe(pipeline.connections.on_event)
    return GatewayApp(bff, cache, pipeline, upstreams)
