"""Install the whole backend-for-frontend into your own FastAPI application.

    app = FastAPI()
    install(app, load_settings(Path("vestibule.toml"), environ=os.environ))

    @app.get("/report")
    async def report(session: CurrentSession) -> ...: ...

    @app.get("/admin", dependencies=[Depends(require_session(roles_any=["admin"]))])
    async def admin() -> ...: ...

Call `install` before you declare a route that catches every path. It serves `server.auth_path`. The rest of the
application is protected only where you use the dependencies. A person who is not signed in and opens a page goes to the
sign-in and back; other requests get 401 with `login_url`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from fastapi import Depends, FastAPI, Request, Response

from bff.access.policy import Demands
from bff.assembly import Bff, assemble
from bff.audit import attribute_events
from bff.browser.csrf import check_same_origin
from bff.browser.request_facts import facts_of, wants_page
from bff.errors import AuthError, Forbidden, LoginRequired
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import Settings
from bff.stores.protocol import Store
from bff.web.answers import redirect, respond
from bff.web.app import create_auth_app
from bff.web.problems import login_url, render_problem

STATE_KEY = "vestibule"
SessionDependency = Callable[[Request], Awaitable[Session]]


class EveryPath:
    """`Targets` of an application without a route table: every path outside the sign-in is a page."""

    def __init__(self, auth_path: str) -> None:
        self._auth_path = auth_path

    def is_page(self, path: str, *, urls: PublicUrls) -> bool:
        return path != self._auth_path and not path.startswith(self._auth_path + "/")

    def demands(self, path: str, *, urls: PublicUrls) -> Demands:
        return Demands()

    def refusal(self, path: str, session: Session, *, urls: PublicUrls) -> Forbidden | None:
        return None

    def clears_storage(self, urls: PublicUrls) -> bool:
        return False


def install(
    app: FastAPI,
    settings: Settings,
    *,
    store: Store | None = None,
    http: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
) -> Bff:
    """Mount sign-in, sign-out and session below `server.auth_path` of `app`, and render the dependencies' refusals.

    `store` may be your own (`bff.stores.protocol.Store`); it is closed with the application. The parts are returned for
    code that needs them.

    Raises:
        ValueError: the settings need the front door: `compat.oauth2_proxy`.
    """
    if settings.compat.oauth2_proxy:
        raise ValueError("compat.oauth2_proxy works only with the front door (vestibule run); set it to false")
    bff = assemble(settings, store=store, http=http, clock=clock)
    setattr(app.state, STATE_KEY, bff)
    auth_app = create_auth_app(bff, EveryPath(settings.server.auth_path))
    for route in auth_app.router.routes:
        app.router.routes.append(route)
    app.add_exception_handler(AuthError, _render)
    _at_shutdown(app, bff.aclose)
    return bff


async def current_session(request: Request) -> Session:
    """Return the signed-in person's session at the request's own origin.

    Unsafe methods need proof of that origin; safe methods must not show another one.

    Raises:
        LoginRequired: nobody is signed in.
        Forbidden: the request came from another site.
        StoreUnavailable: the store does not answer.
    """
    bff = _bff_of(request)
    facts = facts_of(request.scope, bff.origins)
    attribute_events(client=facts.address, request_id=facts.request_id)
    check_same_origin(request.method, facts.fetch, origin=facts.urls.origin, strict_reads=False)
    name = bff.presented_record(request.scope["headers"])
    session = await bff.sessions.load(name) if name else None
    if session is None or not bff.belongs_to(session, facts.urls):
        raise LoginRequired()
    await bff.sessions.touch(session)
    return bff.with_roles(session)


CurrentSession = Annotated[Session, Depends(current_session)]


def require_session(*, roles_any: Sequence[str] = ()) -> SessionDependency:
    """Make a dependency like `CurrentSession` that also answers 403 unless the person has one of `roles_any`."""

    async def required(request: Request, session: CurrentSession) -> Session:
        if roles_any and not session.identity.has_role(*roles_any):
            _bff_of(request).audit.event("access_denied", session=session, reason="require.roles_any")
            raise _Denied(detail="require.roles_any")
        return session

    return required  # type: ignore[return-value]  # FastAPI fills `session` from the request


class _Denied(Forbidden):
    """The person does not have the role. The audit log already has the event, with the person."""

    is_audited = True


async def _render(request: Request, error: Exception) -> Response:
    if not isinstance(error, AuthError):
        raise error
    bff = _bff_of(request)
    try:
        facts = facts_of(request.scope, bff.origins)
        attribute_events(client=facts.address, request_id=facts.request_id)
        bff.audit.refusal(error)
    except AuthError as misdirected:
        bff.audit.refusal(misdirected)
        return Response(b"", misdirected.status)
    return_to = _target_of(request)
    navigation = wants_page(facts.fetch, request.scope["headers"])
    if isinstance(error, LoginRequired) and navigation and request.method == "GET":
        return redirect(302, login_url(facts.urls, return_to))
    page = render_problem(
        error, navigation=navigation, request_id=facts.request_id, urls=facts.urls, return_to=return_to
    )
    return respond(page)


def _target_of(request: Request) -> str:
    """Return path and query as the browser sent them. `request.url` has the decoded path, which is another path."""
    path: bytes = request.scope.get("raw_path") or quote(request.scope["path"]).encode("ascii")
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def _bff_of(request: Request) -> Bff:
    """Return the parts that `install` left. A mounted application does not get those of its parent.

    Raises:
        RuntimeError: `install` was not called for the application that serves this route.
    """
    bff = getattr(request.app.state, STATE_KEY, None)
    if not isinstance(bff, Bff):
        raise RuntimeError("call bff.install.install(app, settings) for the application that has this route")
    return bff


def _at_shutdown(app: FastAPI, close: Callable[[], Awaitable[None]]) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[Any]:
        async with inner(application) as state:
            try:
                yield state
            finally:
                await close()

    app.router.lifespan_context = lifespan
