"""The endpoints for the kit: codes for handles, handles for tokens, page state. They take no cookie."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from bff import contract
from bff.access.policy import Allowed, decide
from bff.browser.cookies import cookie_headers, mentions_cookie
from bff.errors import AuthError, BadRequest, Forbidden, LoginRequired
from bff.kit.page_state import MAX_BYTES
from bff.sessions.record import Session
from bff.settings.tables import RouteSettings
from bff.web.answers import answer_json, respond
from bff.web.handlers import Handling
from bff.web.identity import describe_person
from bff.web.pages import Page

MAX_JSON = 4096


class _ExchangeRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    code: str = Field(max_length=512)
    binding: str = Field(max_length=128)


class _TokenRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    audience: str = Field("", max_length=512)


class _RouteRefused(Forbidden):
    """The route for which a token was asked refuses the person."""

    is_audited = True


class KitRoutes(Handling):
    """Handlers for kit clients."""

    async def exchange(self, request: Request) -> Response:
        """Exchange a one-time code and its binding for a session handle and the identity."""
        client = self._client(request)
        try:
            wanted = _ExchangeRequest.model_validate_json(await self._body(request, limit=MAX_JSON))
        except ValidationError:
            raise BadRequest("kit_code") from None
        session = await self._bff.kit_codes.redeem(wanted.code, client=client, binding=wanted.binding)
        if not self._may_speak_of(session, request):
            raise BadRequest("kit_code", detail=f"its session belongs to {session.origin}")
        seen = self._bff.kit_views.seen(self._bff.with_roles(session), client)
        answer = {
            "session_handle": self._bff.kit.handle_for(session.name, client=client),
            "expires_at": int(session.absolute_expires_at),
            "identity": describe_person(seen),
            "routes": self._bff.kit_views.route_paths(session, client),
        }
        return answer_json(answer)

    async def identity(self, request: Request) -> Response:
        """The whole identity, with what did not fit into a handshake assertion."""
        client, session = await self._caller(request)
        pages = [route for route in self._bff.settings.routes if route.kit == client]
        seen = self._bff.kit_views.seen(session, client)
        answer = describe_person(seen, claims=[claim for route in pages for claim in route.claim_headers.values()])
        return answer_json({**answer, "routes": self._bff.kit_views.route_paths(session, client)})

    async def token(self, request: Request) -> Response:
        """Return a live token for one of the client's audiences, for code that has to send it itself."""
        client, session = await self._caller(request)
        try:
            wanted = _TokenRequest.model_validate_json(await self._body(request, limit=MAX_JSON))
        except ValidationError:
            raise BadRequest("kit_token", detail="needs an audience") from None
        audiences = self._bff.settings.kit_clients[client].audiences
        audience = wanted.audience or (audiences[0] if len(audiences) == 1 else "")
        if audience not in audiences:
            raise Forbidden("kit_audience", "This application may not have that token.")
        tokens, route = self._bff.upstream_tokens, self._open_route(client, audience, session)
        if route is not None:
            token = await tokens.for_route(route, session)
        else:
            seen = self._bff.kit_views.told(session, client, audience=audience)
            token = tokens.assertion(seen, audience=audience, client=client)
        if token is None:
            raise Forbidden("kit_audience", "There is no token for that audience.")
        if token.omitted:
            await self._bff.omissions.note(session, token.omitted, route=route.id if route else "")
        expires_at = int(token.expires_at) if token.expires_at is not None else None
        return answer_json({"access_token": token.token, "token_type": "Bearer", "expires_at": expires_at})

    async def state(self, request: Request) -> Response:
        """Read, write or delete one piece of page state."""
        client, session = await self._caller(request)
        states, state_id = self._bff.kit_states, request.path_params["state_id"]
        match request.method:
            case "GET":
                value = await states.load(session, client=client, state_id=state_id)
                return respond(Page(200, [("content-type", "application/json"), ("cache-control", "no-store")], value))
            case "PUT":
                await states.save(session, await self._body(request, limit=MAX_BYTES), client=client, state_id=state_id)
            case _:
                await states.delete(session, client=client, state_id=state_id)
        return respond(Page(204, [("cache-control", "no-store")], b""))

    def _client(self, request: Request) -> str:
        credential = self._single(request, contract.HEADER_KIT, missing="kit_credential")
        self._refuse_cookie(request)
        return self._bff.kit.authenticate(credential)

    async def _caller(self, request: Request) -> tuple[str, Session]:
        credential = self._single(request, contract.HEADER_KIT, missing="kit_credential")
        self._refuse_cookie(request)
        handle = self._single(request, contract.HEADER_SESSION, missing="login_required")
        call = self._bff.kit.open_call(credential, handle)
        session = await self._bff.sessions.load(call.record_name) if call.record_name else None
        if session is None:
            raise LoginRequired()
        if not self._may_speak_of(session, request):
            raise LoginRequired("kit_handle", detail=f"its session belongs to {session.origin}")
        return call.client, self._bff.with_roles(session)

    def _may_speak_of(self, session: Session, request: Request) -> bool:
        """True at the session's own origin, and for a caller that uses an internal name, which is not an origin."""
        facts = self._facts(request)
        return facts.is_internal or session.origin == facts.urls.origin

    def _single(self, request: Request, name: str, *, missing: str) -> str:
        values = request.headers.getlist(name)
        if len(values) > 1:
            raise BadRequest("kit_credential_twice")
        if not values:
            raise LoginRequired(missing)
        return values[0]

    def _refuse_cookie(self, request: Request) -> None:
        if mentions_cookie(cookie_headers(request.scope["headers"]), self._bff.cookie_names.session):
            raise BadRequest("kit_with_cookie", detail="a kit credential beside a session cookie")

    def _open_route(self, client: str, audience: str, session: Session) -> RouteSettings | None:
        """Return the client's route that sends tokens to `audience`; None if it has none.

        A route to the same audience that the client may not call protects its audience too.

        Raises:
            Forbidden: there are such routes, but none of them lets this person in.
        """
        there = [route for route in self._bff.settings.routes if route.audience == audience]
        own = [route for route in there if route.id in self._bff.settings.kit_clients[client].routes]
        refusals = {route.id: self._refusal(route, session) for route in own or there}
        if refusals and all(refusals.values()):
            route_id, reason = next(iter(refusals.items()))
            self._bff.audit.event("access_denied", session=session, route=route_id, reason=reason)
            raise _RouteRefused(detail=reason)
        return next((route for route in own if not refusals[route.id]), None)

    def _refusal(self, route: RouteSettings, session: Session) -> str:
        """Return why `route` refuses the person of `session`; "" if it does not."""
        urls = self._bff.urls_of(session)
        if urls is None or not urls.has(route.host):
            return "host"
        decision = decide(route, session.identity, scopes=session.tokens.scopes, now=self._bff.clock())
        return "" if isinstance(decision, Allowed) else decision.reason

    async def _body(self, request: Request, *, limit: int) -> bytes:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise AuthError("body_too_large", "This is larger than what is accepted here.", status=413)
        return bytes(body)
