"""The front door itself, without a network: it decides real requests, and nothing of them leaves this process.

Its pipeline is that of `vestibule run`. The store is in memory, the providers are here, and every upstream only notes
what it would get. So an answer is never that of a second set of rules.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from starlette.types import Message, Receive, Scope, Send

from bff.assembly import Bff, assemble
from bff.audit import Audit, Event
from bff.errors import AuthError
from bff.sessions.lifecycle import Opening
from bff.sessions.record import TokenSet
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import Settings
from bff.stores.memory import MemoryStore
from gateway.access.request import Incoming, read_endpoint, read_request
from gateway.access.session_cache import SessionCache
from gateway.admission import Admission
from gateway.cli.routes.callers import Who, person_of
from gateway.cli.routes.offline_provider import TOKEN, OfflineProviders
from gateway.cli.routes.questions import Question
from gateway.headers.request import RawHeaders
from gateway.pipeline import Pipeline
from gateway.serving.head_rules import RequestRefused, is_too_long, validate_head
from gateway.upstream.asgi import AsgiUpstream
from gateway.upstream.choice import LocalUpstream, RouteUpstreams, build_upstreams

Outcome = Literal["allowed", "answered", "refused"]
NOWHERE: Final = "http://upstream.invalid"
_REFUSED_FROM: Final = 400


@dataclass(frozen=True, slots=True)
class Decided:
    """What the front door does with a request.

    `allowed`: it goes to the upstream of `route`, to `target` with `headers`. `answered`: the front door itself answers
    with `status`. `refused`: with `status`, the reason `code`, and `detail` for the operator.
    """

    outcome: Outcome
    route: str
    status: int
    code: str = ""
    detail: str = ""
    target: str = ""
    headers: RawHeaders = field(default_factory=list, repr=False)


class _Notes(Audit):
    """Keeps what the front door would write about a refusal."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: AuthError | None = None

    def event(self, event: Event, **_: Any) -> None:
        pass

    def refusal(self, error: AuthError, *, event: Event | None = None, provider: str = "") -> None:
        self.refused = error


class _Upstream:
    """An application that takes every request and keeps its scope."""

    def __init__(self) -> None:
        self.scope: Scope | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})


class OfflineDoor:
    """Answers one question after the other. Call `aclose` at the end."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings.model_copy(update={"log": settings.log.model_copy(update={"access": False})})
        self._notes, self._upstream, self._offline = _Notes(), _Upstream(), OfflineProviders()
        self.bff: Bff = assemble(
            self.settings, store=MemoryStore(clock=clock), http=self._offline.client, clock=clock, audit=self._notes
        )
        for provider in self.bff.sign_in.providers.values():
            self._offline.add(provider)
        self._cache = SessionCache(self.bff)
        self.admission = Admission(self.bff, self._cache)
        self._pipeline = Pipeline(
            self.bff,
            self._own_pages,
            self._upstreams(),
            self._cache,
            old_names=self._own_pages if settings.compat.oauth2_proxy else None,
        )

    async def ask(self, question: Question) -> Decided:
        """Let the front door decide the request of `question`."""
        urls = self.bff.origins.get(question.host)
        if fault := self.head_fault(question):
            return Decided("refused", "", fault.status, fault.code)
        scope = await self._scope(question, urls)
        self._notes.refused = self._upstream.scope = None
        answer: list[Message] = []

        async def send(message: Message) -> None:
            answer.append(message)

        await self._pipeline(scope, _client(scope), send)
        return self._decided(answer, self._route_id(scope))

    def _route_id(self, scope: Scope) -> str:
        with suppress(AuthError):
            route = self.admission.match(self._read(scope))
            return route.id if route is not None else ""
        return ""

    def head_fault(self, question: Question) -> RequestRefused | None:
        """Return why the server refuses such a request before it looks at routes, None if it does not."""
        login = self.bff.urls.base_path + self.bff.urls.auth_path + "/login"
        if is_too_long(question.target, self.settings.limits, login=login.encode()):
            return RequestRefused("url_too_long", 414)
        try:
            validate_head(
                question.method.encode(),
                question.target,
                version="1.1",
                headers=question.headers(self.bff.origins.get(question.host)),
                upgrade=question.is_websocket,
                limits=self.settings.limits,
            )
        except RequestRefused as refusal:
            return refusal
        return None

    async def read(self, question: Question) -> Incoming:
        """Read the request as the first step of the pipeline does.

        Raises:
            AuthError: it is refused there.
        """
        return self._read(await self._scope(question, self.bff.origins.get(question.host)))

    async def aclose(self) -> None:
        await self._pipeline.aclose()
        self._cache.close()
        await self.bff.aclose()

    def _read(self, scope: Scope) -> Incoming:
        client, request_id = read_endpoint(scope, self.settings.server)
        return read_request(scope, client, request_id=request_id, origins=self.bff.origins, server=self.settings.server)

    async def _scope(self, question: Question, urls: PublicUrls | None) -> Scope:
        """Build the request as it would come from the server, with the caller's credential."""
        headers, who = question.headers(urls), question.who
        scope = _bare_scope(question, headers)
        if who.is_machine:
            headers.append((b"authorization", b"Bearer " + self._machine_token(who, scope).encode("ascii")))
        elif not who.is_anonymous and urls is not None:
            cookie = f"{self.bff.cookie_names.session}={await self._sign_in(who, urls)}"
            headers.append((b"cookie", cookie.encode("ascii")))
        return scope

    def _machine_token(self, who: Who, scope: Scope) -> str:
        """Sign a token for the route of the request: with its audience, unless the claims name another one."""
        audience = ""
        with suppress(AuthError):
            if route := self.admission.match(self._read(scope)):
                audience = route.accept_bearer.audience or route.audience
        granted = {"scope": " ".join(who.scopes)} if who.scopes else {}
        return self._offline.access_token({"aud": audience, **who.claims, **granted}, now=self.bff.clock())

    async def _sign_in(self, who: Who, urls: PublicUrls) -> str:
        """Open a session for the person, and return its cookie."""
        now, sid = self.bff.clock(), who.claims.get("sid", "")
        scope = " ".join(who.scopes)
        opening = Opening(
            identity=person_of(who, self.settings, now=now),
            tokens=TokenSet(access_token=TOKEN, id_token=TOKEN, obtained_at=now, expires_at=now + 300, scope=scope),
            sid=sid if isinstance(sid, str) else "",
            origin=urls.origin,
            login_started_at=now,
        )
        opened = await self.bff.sessions.open(opening)
        if opened is None:
            raise RuntimeError("the store refuses a session that nothing has ended")
        return opened.cookie

    def _decided(self, answer: list[Message], route: str) -> Decided:
        got, refused = self._upstream.scope, self._notes.refused
        if got is not None:
            query = b"?" + got["query_string"] if got["query_string"] else b""
            target = (got["raw_path"].removeprefix(got["root_path"].encode()) + query).decode("latin-1")
            return Decided("allowed", route, 0, target=target, headers=got["headers"])
        status = next((message["status"] for message in answer if "status" in message), 0)
        if refused is None and status < _REFUSED_FROM:
            return Decided("answered", route, status)
        if refused is None:
            code = "not_found" if status == 404 else AuthError.default_code
            return Decided(
                "refused", route, status, code, "browsers ask for this by themselves" if status == 404 else ""
            )
        return Decided("refused", route, refused.status, refused.code, refused.detail)

    def _upstreams(self) -> dict[str, RouteUpstreams]:
        """Build the upstreams of all routes, and put one that only takes notes in the place of each."""
        routes = tuple(
            route.model_copy(update={"upstream": (NOWHERE,), "ca_file": ""}) for route in self.settings.routes
        )
        built = build_upstreams(
            self.settings.model_copy(update={"routes": routes}), base_path=self.bff.urls.base_path, audit=self._notes
        )
        taking = AsgiUpstream(NOWHERE, application=self._upstream)
        return {
            name: replace(one, upstreams=(LocalUpstream(NOWHERE, taking, one.upstreams[0].responses),))
            for name, one in built.items()
        }

    async def _own_pages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stand for everything below /auth: who may see it is not a question of routes."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def _bare_scope(question: Question, headers: RawHeaders) -> Scope:
    scope: dict[str, Any] = {
        "type": "websocket" if question.is_websocket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws" if question.is_websocket else "http",
        "path": question.raw_path.decode("latin-1"),
        "raw_path": question.raw_path,
        "query_string": question.query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "extensions": {"websocket.http.response": {}},
    }
    scope["subprotocols" if question.is_websocket else "method"] = [] if question.is_websocket else question.method
    return scope


def _client(scope: Scope) -> Receive:
    """Return what a client sends after its request: nothing but the end."""
    kind = scope["type"]
    first: list[Message] = [{"type": "websocket.connect"}]
    if kind == "http":
        first = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return first.pop() if first else {"type": f"{kind}.disconnect", "code": 1000}

    return receive
