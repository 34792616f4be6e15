"""The operator's interface on the management listener: find and end sessions, see routes. It needs the admin token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.types import Receive, Scope

from bff.audit import masked
from bff.contract import PATH_ACCOUNT, PATH_LOGIN, EndReason
from bff.errors import AuthError, BadRequest, LoginRequired, NotFound
from bff.sessions.record import Session
from gateway.app import GatewayApp
from gateway.management.arrival import describe_arrival

MAX_BODY = 16_384
Query = Mapping[str, str]
Answer = dict[str, object]


class Admin:
    """Handlers by method and path. Every change and every look at people's sessions leaves an audit line."""

    def __init__(self, app: GatewayApp) -> None:
        self._bff = app.bff
        self._handlers: dict[tuple[str, str], Callable[[Query], Awaitable[Answer]]] = {
            ("GET", "/admin/sessions"): self.find,
            ("GET", "/admin/claims"): self.claims,
            ("POST", "/admin/revoke"): self.revoke,
            ("GET", "/admin/routes"): self.routes,
            ("POST", "/admin/trial"): self.begin_trial,
            ("GET", "/admin/trial"): self.trial,
        }

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the JSON answer to an `/admin` request.

        Raises:
            LoginRequired: `admin_token`: no token is configured, or the request has none or a wrong one.
            NotFound, BadRequest, StoreUnavailable.
        """
        self._check_token(scope)
        handler = self._handlers.get((scope["method"], scope["path"]))
        if handler is None:
            raise NotFound()
        if scope["method"] == "POST":
            return await handler(await _json_body(receive))
        return await handler(dict(parse_qsl(scope["query_string"].decode("latin-1"))))

    async def find(self, query: Query) -> Answer:
        """Return the sessions of `sub` (and `iss`, if there are several providers), or of a masked `session` id."""
        found = await self._selected(query)
        self._bff.audit.event("admin_action", reason="look_up", detail=f"{len(found)} of {_whom(query)}")
        return {"sessions": [_describe(session) for session in found]}

    async def claims(self, query: Query) -> Answer:
        """Return what the newest sign-in of `sub`, or that of a masked `session` id, brought. No token is shown."""
        found = await self._selected(query)
        if one := query.get("session", ""):
            found = [session for session in found if masked(session.name) == one]
        self._bff.audit.event("admin_action", reason="claims", detail=f"{min(len(found), 1)} of {_whom(query)}")
        newest = max(found, key=lambda session: session.created_at, default=None)
        return {"arrived": None if newest is None else {**_describe(newest), **describe_arrival(newest)}}

    async def begin_trial(self, query: Query) -> Answer:
        """Begin a sign-in at `provider` whose end `trial` tells, and return its link and its ticket."""
        name, urls = query.get("provider", ""), self._bff.urls
        if name not in self._bff.sign_in.providers:
            raise BadRequest("admin_request", "Name a provider of the running front door.")
        ticket = await self._bff.trials.begin()
        self._bff.audit.event("admin_action", provider=name, reason="trial")
        back = urls.base_path + self._bff.settings.server.auth_path + PATH_ACCOUNT
        asked = {"provider": name, "return_to": back, "check": ticket}
        return {
            "ticket": ticket,
            "link": f"{urls.auth}{PATH_LOGIN}?{urlencode(asked)}",
            "redirect_uri": urls.callback(name),
            "seconds": self._bff.settings.limits.login_seconds,
        }

    async def trial(self, query: Query) -> Answer:
        """Return how the sign-in of a `ticket` ended, None while it goes on. No token is shown."""
        outcome = await self._bff.trials.outcome(query.get("ticket", ""))
        if outcome is None:
            raise NotFound()
        if name := outcome.get("session", ""):
            session = await self._bff.sessions.load(name)
            if session is None:
                return {"ended": {"fault": "login_ended", "detail": "the session has ended already"}}
            return {"ended": {"arrived": describe_arrival(session)}}
        return {"ended": dict(outcome) or None}

    async def revoke(self, query: Query) -> Answer:
        """End one `session` of a `sub`, all of a `sub` or `sid`, or everybody's (`all=yes`). Pending sign-ins end
        too."""
        sessions, issuers = self._bff.sessions, self._issuers(query)
        sub, sid, one = (query.get(name, "") for name in ("sub", "sid", "session"))
        if query.get("all") == "yes":
            await sessions.end_everybody(EndReason.REVOKED)
            self._bff.audit.event("admin_action", reason="revoke_all")
            return {"ended": "all"}
        if not sub and not sid:
            raise BadRequest("admin_request", "Name a sub or a sid.")
        ended: list[Session] = []
        if one:
            ended = [session for session in await self._selected(query) if masked(session.name) == one]
            for session in ended:
                await sessions.end(session.name, EndReason.REVOKED)
        else:
            for issuer in issuers:
                if sid:
                    ended += await sessions.end_provider_session(issuer, sid, EndReason.REVOKED, sub=sub)
                else:
                    ended += await sessions.end_person(issuer, sub, EndReason.REVOKED)
        self._note_revoke(query, ended)
        for session in ended:
            if session.provider in self._bff.sign_in.providers:
                provider = self._bff.sign_in.providers[session.provider]
                self._bff.sign_in.revoke_later(provider, session.tokens.refresh_token)
        return {"ended": len(ended)}

    def _note_revoke(self, query: Query, ended: list[Session]) -> None:
        """Leave one event for each session; also one if there was none, since pending sign-ins ended."""
        if not ended:
            self._bff.audit.event("admin_action", reason="revoke", detail=f"no live session of {_whom(query)}")
        for session in ended:
            self._bff.audit.event("admin_action", session=session, reason="revoke")

    async def routes(self, query: Query) -> Answer:
        """Return the route table, longest prefix first."""
        routes = sorted(self._bff.settings.routes, key=lambda route: -len(route.path))
        return {
            "routes": [
                {
                    "id": route.id,
                    "host": route.host,
                    "path": route.path,
                    "kind": route.kind,
                    "auth": route.auth,
                    "require": route.require.model_dump(exclude_defaults=True),
                    "token": route.token,
                    "upstream": list(route.upstream),
                }
                for route in routes
            ]
        }

    async def _selected(self, query: Query) -> list[Session]:
        sub, sid = query.get("sub", ""), query.get("sid", "")
        if not sub and not sid:
            raise BadRequest("admin_request", "Name a sub or a sid.")
        found: list[Session] = []
        for issuer in self._issuers(query):
            if sub:
                found += await self._bff.sessions.of_person(issuer, sub)
            else:
                found += await self._bff.sessions.of_provider_session(issuer, sid)
        return [session for session in found if not sid or session.sid == sid]

    def _issuers(self, query: Query) -> list[str]:
        known = list(dict.fromkeys(provider.issuer for provider in self._bff.sign_in.providers.values()))
        wanted = query.get("iss", "")
        return [issuer for issuer in known if not wanted or issuer == wanted]

    def _check_token(self, scope: Scope) -> None:
        expected = self._bff.settings.secrets.admin_token.get_secret_value()
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if not expected or len(given) != 1 or not hmac.compare_digest(given[0], f"Bearer {expected}".encode()):
            self._bff.audit.event("request_refused", reason="admin_token")
            raise LoginRequired("admin_token", "This needs the admin token.")


async def _json_body(receive: Receive) -> dict[str, str]:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise AuthError("body_too_large", status=413)
        if not message.get("more_body"):
            break
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise BadRequest("admin_request", "This needs JSON.") from None
    if not isinstance(value, dict) or not all(_is_text(item) for item in value.values()):
        raise BadRequest("admin_request", "This needs a JSON object of strings.")
    return value


def _is_text(value: object) -> bool:
    """True for a string of complete characters. JSON can hold half of a surrogate pair, which no store can look up."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whom(query: Query) -> str:
    """Say whose sessions are meant, in a form for the log."""
    sub, sid = query.get("sub", ""), query.get("sid", "")
    names = (masked(sub) if sub else "", f"sid {masked(sid)}" if sid else "")
    return ", ".join(filter(None, names))


def _describe(session: Session) -> Answer:
    identity = session.identity
    return {
        "session": masked(session.name),
        "sub": identity.sub,
        "iss": identity.iss,
        "provider": identity.provider,
        "sid": session.sid,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "device": session.device,
        "created_at": int(session.created_at),
        "expires_at": int(session.absolute_expires_at),
        "idle_expires_at": int(session.idle_expires_at),
    }
