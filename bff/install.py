"""The whole backend-for-frontend inside somebody's own FastAPI application.

    app = FastAPI()
    install(app, load_settings(Path("vestibule.toml"), environ=os.environ))

    @app.get("/report")
    async def report(session: CurrentSession) -> ...: ...

    @app.get("/admin", dependencies=[Depends(require_session(roles_any=["admin"]))])
    async def admin() -> ...: ...

It serves `server.auth_path`; what lies elsewhere in the application is guarded by the dependencies alone.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request, Response

from bff.assembly import Bff, assemble
from bff.cookies import DuplicateCookie, cookie_headers, find_session_cookie
from bff.csrf import SAFE_METHODS, check_same_origin
from bff.errors import AuthError, Forbidden, LoginRequired
from bff.login import Demands
from bff.problems import render_problem
from bff.request_facts import facts_of
from bff.routes import create_auth_app
from bff.session import Session, Store
from bff.settings import Settings

STATE_KEY = "vestibule"
SessionDependency = Callable[[Request], Awaitable[Session]]


class EveryPath:
    """`Targets` of an application without a route table: everything but the sign-in itself is a page."""

    def __init__(self, auth_path: str) -> None:
        self._auth_path = auth_path

    def is_page(self, path: str) -> bool:
        return path != self._auth_path and not path.startswith(self._auth_path + "/")

    def demands(self, path: str) -> Demands:
        return Demands()


def install(
    app: FastAPI,
    settings: Settings,
    *,
    store: Store | None = None,
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
) -> Bff:
    """Mount sign-in, sign-out and session below `server.auth_path` of `app`, and render refusals of the dependencies.

    `store` may be one of your own (`bff.session.Store`). The parts are also returned, for code that needs them.
    """
    bff = assemble(settings, store=store, http=http, clock=clock)
    setattr(app.state, STATE_KEY, bff)
    auth_app = create_auth_app(bff, EveryPath(settings.server.auth_path))
    for route in auth_app.router.routes:
        app.router.routes.append(route)
    app.add_exception_handler(AuthError, _render)
    _close_with(app, bff)
    return bff


async def current_session(request: Request) -> Session:
    """The signed-in person's session; unsafe methods need proof of the same origin.

    Raises:
        LoginRequired: nobody is signed in.
        Forbidden: the request came from another site.
        StoreUnavailable: nobody can tell.
    """
    bff: Bff = getattr(request.app.state, STATE_KEY)
    facts = facts_of(request.scope, bff.origins)
    if request.method not in SAFE_METHODS:
        origins = {urls.origin for urls in bff.origins.values()}
        check_same_origin(request.method, facts.fetch, origins=origins, strict_reads=True)
    try:
        cookie = find_session_cookie(cookie_headers(request.scope["headers"]), bff.cookie_names.session)
    except DuplicateCookie:
        bff.audit.event("duplicate_cookie", client=facts.address, request_id=facts.request_id)
        raise LoginRequired() from None
    session = await bff.sessions.resume(cookie) if cookie else None
    if session is None:
        raise LoginRequired()
    await bff.sessions.touch(session)
    return bff.with_roles(session, scopes=frozenset(session.tokens.scope.split()))


CurrentSession = Annotated[Session, Depends(current_session)]


def require_session(*, roles_any: Sequence[str] = ()) -> SessionDependency:
    """A dependency like `CurrentSession` that also wants one of `roles_any`, else 403."""

    async def required(session: CurrentSession) -> Session:
        if roles_any and not session.identity.has_role(*roles_any):
            raise Forbidden("forbidden", detail="require.roles_any")
        return session

    return required  # type: ignore[return-value]  # FastAPI fills `session` from the request


async def _render(request: Request, error: Exception) -> Response:
    if not isinstance(error, AuthError):
        raise error
    bff: Bff = getattr(request.app.state, STATE_KEY)
    try:
        facts = facts_of(request.scope, bff.origins)
    except AuthError as misdirected:
        return Response(b"", misdirected.status)
    query = f"?{request.url.query}" if request.url.query else ""
    page = render_problem(
        error,
        navigation=facts.fetch.is_navigation,
        request_id=facts.request_id,
        urls=facts.urls,
        return_to=request.url.path + query,
    )
    return Response(page.body, page.status, headers=dict(page.headers))


def _close_with(app: FastAPI, bff: Bff) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[Any]:
        async with inner(application) as state:
            try:
                yield state
            finally:
                await bff.aclose()

    app.router.lifespan_context = lifespan
