"""Who may send a request to a route. A proxied request and a question of forward-auth take these same steps."""

from __future__ import annotations

from typing import assert_never

from bff.access.policy import Allowed, Denied, StepUp, decide
from bff.assembly import Bff
from bff.browser.service_workers import asks_for_worker
from bff.contract import OAUTH2_PATH
from bff.errors import AuthError, LoginRequired, NotFound
from bff.settings.tables import RouteSettings
from gateway.access.credentials import Caller, Credentials, check_kit_route
from gateway.access.machine_callers import MachineCallers
from gateway.access.origins import check_origin
from gateway.access.places import Places
from gateway.access.request import Incoming
from gateway.access.routes import RouteTable, is_method_allowed
from gateway.access.session_cache import LiveSession, SessionCache
from gateway.access.worker_scripts import check_worker_script
from gateway.streamlit.paths import is_denied, treatment


class Admission:
    """The route of a request, its caller, and whether this caller may use it."""

    def __init__(self, bff: Bff, cache: SessionCache) -> None:
        self._bff = bff
        self._auth_path = bff.settings.server.auth_path
        self.routes = RouteTable(bff.settings.routes)
        self._places = Places(bff.settings.routes, auth_path=self._auth_path, treatment=treatment)
        self.credentials = Credentials(bff, cache)
        self.machines = MachineCallers(bff)

    def belongs_to_auth(self, incoming: Incoming) -> bool:
        """True below `server.auth_path`."""
        return _is_below(incoming.path, self._auth_path)

    def is_reserved(self, incoming: Incoming) -> bool:
        """True below the names that no upstream may get: `server.auth_path` and `/oauth2`."""
        return self.belongs_to_auth(incoming) or self.has_old_name(incoming)

    def has_old_name(self, incoming: Incoming) -> bool:
        """True below `/oauth2`, whether it is served or not."""
        return _is_below(incoming.path, OAUTH2_PATH)

    def match(self, incoming: Incoming) -> RouteSettings | None:
        """Find the route. There is none below the reserved names, whatever the table says."""
        if self.is_reserved(incoming):
            return None
        return self.routes.match(incoming.facts.urls.host, incoming.path)

    def check_address(self, incoming: Incoming, route: RouteSettings | None) -> None:
        """Refuse an address that has several readings, and service workers whose folder is not only theirs.

        Raises:
            BadRequest: `ambiguous_path`.
            Forbidden: `service_worker`.
        """
        self.check_place(incoming)
        if incoming.scope["type"] == "http" and asks_for_worker(incoming.headers):
            host = incoming.facts.urls.host
            check_worker_script(incoming.path, route, host=host, routes=self.routes, auth_path=self._auth_path)

    def check_place(self, incoming: Incoming) -> None:
        """Refuse an address that another reader would find in another place.

        Raises:
            BadRequest: `ambiguous_path`.
        """
        self._places.check(incoming.facts.urls.host, incoming.path, raw_path=incoming.raw_path)

    async def caller_of(self, incoming: Incoming, route: RouteSettings) -> Caller:
        """Return who calls `route`: a person, a page's server, a machine with a bearer token, or nobody.

        Raises:
            BadRequest: two credentials.
            LoginRequired: a credential that does not count.
            StoreUnavailable: the store does not answer.
        """
        caller = await self.credentials.identify(incoming, route)
        machine = await self.machines.identify(incoming, route)
        return caller if machine is None else Caller(machine, is_machine=True)

    def check(self, incoming: Incoming, route: RouteSettings, caller: Caller) -> None:
        """Return if `caller` may send this request to `route`.

        Raises:
            NotFound: the address is closed.
            AuthError: `method_not_allowed` (405).
            Forbidden: another site sent it, or a rule of the route does not hold.
            LoginRequired: nobody is signed in, or another sign-in is needed.
        """
        if is_denied(incoming.path, route):
            raise NotFound()
        if not is_method_allowed(route, incoming.method):  # a WebSocket handshake is a GET
            raise AuthError("method_not_allowed", "Not with this method.", status=405)
        check_kit_route(caller, route, self._bff.settings.kit_clients)
        check_origin(incoming, route, caller)
        if caller.live is not None:
            self._authorize(route, caller.live)
        elif route.auth == "required":
            raise LoginRequired()

    def _authorize(self, route: RouteSettings, live: LiveSession) -> None:
        decision = decide(route, live.identity, scopes=live.scopes, now=self._bff.clock())
        match decision:
            case Allowed():
                return
            case StepUp(unmet):
                raise LoginRequired("step_up_required", "Please sign in once more for this.", detail=unmet)
            case Denied():
                error = decision.as_error(route, live.identity)
                self._bff.audit.event("access_denied", session=live.session, route=route.id, reason=error.detail)
                error.is_audited = True
                raise error
            case unknown:
                assert_never(unknown)


def _is_below(path: str, name: str) -> bool:
    return path == name or path.startswith(name + "/")
