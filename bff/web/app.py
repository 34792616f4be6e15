"""The application below `/auth`: which handler answers which path and method."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bff import contract
from bff.assembly import Bff
from bff.errors import AuthError, NotFound
from bff.login.targets import Targets
from bff.web.account import AccountRoutes
from bff.web.handlers import BoundHandler, Handling
from bff.web.identity import IdentityRoutes
from bff.web.kit import KitRoutes
from bff.web.provider import ProviderRoutes
from bff.web.refused import RefusedRoutes
from bff.web.session import SessionRoutes
from bff.web.sign_in import SignInRoutes

Endpoints = list[tuple[str, list[str], BoundHandler]]
"""Path, methods and handler."""


def create_auth_app(bff: Bff, targets: Targets) -> Starlette:
    """Make the application that serves `server.auth_path` and everything below it."""
    sign_in, session = SignInRoutes(bff, targets), SessionRoutes(bff, targets)
    identity, refused = IdentityRoutes(bff, targets), RefusedRoutes(bff, targets)
    provider, account, kit = ProviderRoutes(bff, targets), AccountRoutes(bff, targets), KitRoutes(bff, targets)
    table: Endpoints = [
        (contract.PATH_LOGIN, ["GET"], sign_in.login),
        (contract.PATH_CALLBACK + "/{provider}", ["GET", "POST"], sign_in.callback),
        (contract.PATH_LOGOUT, ["GET", "POST"], sign_in.logout),
        (contract.PATH_LOGGED_OUT, ["GET"], sign_in.logged_out),
        (contract.PATH_INITIATE + "/{provider}", ["GET", "POST"], provider.initiate),
        (contract.PATH_BACKCHANNEL_LOGOUT + "/{provider}", ["POST"], provider.back_channel_logout),
        (contract.PATH_FRONTCHANNEL_LOGOUT + "/{provider}", ["GET"], provider.front_channel_logout),
        (contract.PATH_SESSION, ["GET"], session.session),
        (contract.PATH_SESSIONS, ["GET"], account.sessions),
        (contract.PATH_SESSIONS + "/{session_id}", ["GET", "DELETE", "POST"], account.one_session),
        (contract.PATH_ACCOUNT, ["GET"], account.account),
        (contract.PATH_KIT_EXCHANGE, ["POST"], kit.exchange),
        (contract.PATH_KIT_TOKEN, ["POST"], kit.token),
        (contract.PATH_KIT_STATE + "/{state_id}", ["GET", "PUT", "DELETE"], kit.state),
        (contract.PATH_KIT_IDENTITY, ["GET"], kit.identity),
        (contract.PATH_IDENTITY, ["GET"], identity.for_api),
        (contract.PATH_REFUSED, ["GET", "HEAD"], refused.refused),
        (contract.PATH_JWKS, ["GET", "HEAD"], session.jwks),
        (contract.PATH_GUARD, ["GET", "HEAD"], session.guard_script),
    ]
    base = bff.settings.server.auth_path
    return build_app([(base + path, methods, handler) for path, methods, handler in table], session)


def build_app(table: Endpoints, handling: Handling) -> Starlette:
    """Make an application that serves `table`, and lets `handling` render its refusals."""

    async def refuse(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        problem = NotFound() if status == 404 else AuthError("method_not_allowed", "Not with this method.", status=405)
        return handling.problem(request, problem)

    async def break_off(request: Request, error: Exception) -> Response:
        return handling.problem(request, AuthError())  # Starlette raises it again for the server

    app = Starlette(
        routes=[_route(path, methods, handling.answering(handler)) for path, methods, handler in table],
        exception_handlers={404: refuse, 405: refuse, Exception: break_off},
    )
    app.router.redirect_slashes = False
    return app


def _route(path: str, methods: list[str], handler: BoundHandler) -> Route:
    route = Route(path, handler, methods=methods, include_in_schema=False)
    route.methods = set(methods)  # Starlette adds HEAD to each GET; few of ours answer it
    return route
