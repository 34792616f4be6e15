"""Relay an allowed request to its upstream, and keep track of it so that it ends with its session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import structlog
from starlette.types import Message, Receive, Scope, Send

from bff import contract
from bff.assembly import Bff
from bff.errors import AuthError, Forbidden, LoginRequired, StoreUnavailable, Unavailable
from bff.settings.tables import LimitSettings
from gateway.access.credentials import Caller
from gateway.access.paths import forward_target
from gateway.access.request import Incoming
from gateway.access.session_cache import SessionCache
from gateway.access.worker_scripts import keep_from_workers
from gateway.headers.caching import make_private
from gateway.headers.request import RawHeaders, uncompressed, without_conditionals
from gateway.headers.response import ResponseHygiene
from gateway.relay.activity import Activity
from gateway.relay.live_connections import Connection, LiveConnections
from gateway.relay.places import find_place, has_lost_its_session, settling_headers
from gateway.relay.session_script import SessionScript
from gateway.relay.use import message_rule
from gateway.streamlit.sessions import StreamlitSessions
from gateway.streamlit.socket import open_streamlit_socket
from gateway.upstream.choice import LocalUpstream, RouteUpstreams, Upstream
from gateway.upstream.messages import BodyTransform, CleanAnswer, RelayResult, RewriteResponse, SocketEnd
from gateway.upstream.relay import relay_http
from gateway.upstream.socket_closer import SocketCloser
from gateway.upstream.websocket import relay_websocket


class Relaying:
    """Relays with the registry of live connections around them."""

    def __init__(self, bff: Bff, connections: LiveConnections, cache: SessionCache) -> None:
        self._bff = bff
        self._connections = connections
        self.activity = Activity(cache)
        self.streamlit = StreamlitSessions(bff)
        self._script = SessionScript(structlog.get_logger("vestibule.gateway"))

    async def http(
        self,
        incoming: Incoming,
        caller: Caller,
        chosen: RouteUpstreams,
        headers: RawHeaders,
        receive: Receive,
        send: Send,
    ) -> None:
        """Relay a request. The end of its session cuts a response that is still being sent."""
        place = find_place(incoming, caller, chosen)
        inserts = self._script.is_wanted(incoming, chosen.route)
        if inserts:
            headers = without_conditionals(headers) if incoming.method == "GET" else uncompressed(headers)
        target = self._target(incoming, chosen)

        async def use(upstream: Upstream) -> RelayResult:
            settling = settling_headers(incoming, place, chosen, upstream)
            call = _Call(
                incoming.scope,
                receive,
                send,
                headers=headers,
                target=target,
                max_body_bytes=chosen.route.max_body_bytes,
                rewrite=self._rewriting(upstream, chosen, incoming, target, inserts=inserts, further=settling),
            )
            return await call.to(upstream, root_path=chosen.prefix)

        async def exchange() -> None:
            result = await chosen.use_one(place, use)
            if result.error is not None:
                raise result.error

        await self._until_session_ends(exchange, caller, chosen)

    def _rewriting(
        self,
        upstream: Upstream,
        chosen: RouteUpstreams,
        incoming: Incoming,
        target: bytes,
        *,
        inserts: bool,
        further: RawHeaders,
    ) -> RewriteResponse:
        """Response hygiene, no shared caching of what was answered to a person, the session-end script in documents.

        `further` are headers of our own.
        """
        host, path = incoming.facts.urls.host, target.partition(b"?")[0].decode("latin-1")

        def rewrite(status: int, given: RawHeaders) -> tuple[RawHeaders, BodyTransform | None]:
            cleaned = _without(upstream.responses.clean(given, host=host, forwarded_path=path), b"date") + further
            if chosen.route.auth != "public" or any(name == b"set-cookie" for name, _ in cleaned):
                cleaned = make_private(cleaned)
            cleaned = keep_from_workers(cleaned)
            if inserts:
                return cleaned, self._script.inserter(status, cleaned, incoming=incoming, route=chosen.route)
            return cleaned, None

        return rewrite

    async def websocket(
        self,
        incoming: Incoming,
        caller: Caller,
        chosen: RouteUpstreams,
        headers: RawHeaders,
        receive: Receive,
        send: Send,
    ) -> None:
        """Relay a WebSocket. The end of its session, or of a machine's token, closes it with 4401."""
        closer, subprotocols = SocketCloser(), incoming.scope["subprotocols"]
        outage_seconds = self._bff.settings.store.outage_seconds
        streamlit = await open_streamlit_socket(
            self.streamlit, incoming, caller, chosen.route, outage_seconds=outage_seconds
        )
        if streamlit is None:
            await self._socket(incoming, caller, chosen, headers, receive, send, subprotocols, closer)
            return
        announcing = streamlit.announcing(send, closer)
        try:
            await self._socket(incoming, caller, chosen, headers, receive, announcing, streamlit.subprotocols, closer)
        finally:
            await streamlit.aclose()

    async def _socket(
        self,
        incoming: Incoming,
        caller: Caller,
        chosen: RouteUpstreams,
        headers: RawHeaders,
        receive: Receive,
        send: Send,
        subprotocols: Sequence[str],
        closer: SocketCloser,
    ) -> None:
        live, limits = caller.live, self._bff.settings.limits
        if live is not None and self._connections.count(live.session.name) >= limits.websockets_per_session:
            raise Unavailable("websocket_limit", "Too many open connections.")
        noticed = self.activity.noticing(receive, caller.person, message_rule(incoming, chosen.route))
        opening, place = await noticed(), find_place(incoming, caller, chosen)

        async def use(upstream: Upstream) -> SocketEnd:
            call = _SocketCall(
                incoming,
                _again(opening, noticed),
                send,
                headers=headers,
                target=self._target(incoming, chosen),
                subprotocols=subprotocols,
                limits=limits,
                closer=closer,
            )
            settling = settling_headers(incoming, place, chosen, upstream)
            if has_lost_its_session(incoming, place, chosen, upstream):
                call = replace(call, send=_telling(send, closer))
            return await call.to(upstream, root_path=chosen.prefix, accept_headers=settling)

        connection = self._register(caller, chosen, closer.close)
        try:
            await chosen.use_one(place, use)
        finally:
            if connection is not None:
                self._connections.discard(connection)

    def _target(self, incoming: Incoming, chosen: RouteUpstreams) -> bytes:
        raw = incoming.facts.urls.base_path.encode("ascii") + incoming.raw_path
        return forward_target(raw, incoming.scope["query_string"], strip_prefix=chosen.prefix)

    async def _until_session_ends(
        self, exchange: Callable[[], Awaitable[None]], caller: Caller, chosen: RouteUpstreams
    ) -> None:
        task = asyncio.current_task()
        if caller.live is None or task is None:
            await exchange()
            return
        is_over, why = False, 0

        def close(code: int, reason: str) -> None:
            nonlocal is_over, why
            if not is_over:
                is_over, why = True, code
                task.cancel()

        connection = self._register(caller, chosen, close)
        try:
            await exchange()
        except asyncio.CancelledError:
            if not is_over or task.uncancel() > 0:
                raise
            raise _refusal(why) from None
        finally:
            is_over = True
            if connection is not None:
                self._connections.discard(connection)

    def _register(self, caller: Caller, chosen: RouteUpstreams, close: Callable[[int, str], None]) -> Connection | None:
        live = caller.live
        if live is None:
            return None
        session, machine = live.session, live if caller.is_machine else None
        connection = Connection(session.name, live.owners, session.login_started_at, chosen.route, close, machine)
        self._connections.add(connection)
        return connection


@dataclass(frozen=True, slots=True)
class _Call:
    """One HTTP exchange, ready for the chosen kind of upstream."""

    scope: Scope
    receive: Receive
    send: Send
    headers: RawHeaders = field(kw_only=True)
    target: bytes = field(kw_only=True)
    max_body_bytes: int = field(kw_only=True)
    rewrite: RewriteResponse = field(kw_only=True)

    async def to(self, upstream: Upstream, *, root_path: str) -> RelayResult:
        if isinstance(upstream, LocalUpstream):
            return await upstream.application.relay_http(
                self.scope,
                self.receive,
                self.send,
                request_headers=self.headers,
                target=self.target,
                root_path=root_path,
                max_body_bytes=self.max_body_bytes,
                rewrite_response=self.rewrite,
            )
        return await relay_http(
            self.scope,
            self.receive,
            self.send,
            upstream=upstream.http,
            request_headers=self.headers,
            target=self.target,
            max_body_bytes=self.max_body_bytes,
            rewrite_response=self.rewrite,
        )


@dataclass(frozen=True, slots=True)
class _SocketCall:
    """One WebSocket, ready for whichever kind of upstream was chosen."""

    incoming: Incoming
    receive: Receive
    send: Send
    headers: RawHeaders = field(kw_only=True)
    target: bytes = field(kw_only=True)
    subprotocols: Sequence[str] = field(kw_only=True)
    limits: LimitSettings = field(kw_only=True)
    closer: SocketCloser = field(kw_only=True)

    async def to(self, upstream: Upstream, *, root_path: str, accept_headers: RawHeaders) -> SocketEnd:
        if isinstance(upstream, LocalUpstream):
            return await upstream.application.relay_websocket(
                self.incoming.scope,
                self.receive,
                self.send,
                request_headers=self.headers,
                target=self.target,
                root_path=root_path,
                subprotocols=self.subprotocols,
                max_client_message=self.limits.websocket_client_message_bytes,
                closer=self.closer,
                clean_answer=_clean_answer(upstream.responses, self.incoming),
            )
        return await relay_websocket(
            self.incoming.scope,
            self.receive,
            self.send,
            upstream=upstream.websocket,
            request_headers=self.headers,
            target=self.target,
            subprotocols=self.subprotocols,
            max_client_message=self.limits.websocket_client_message_bytes,
            max_upstream_message=self.limits.websocket_upstream_message_bytes,
            closer=self.closer,
            accept_headers=accept_headers,
            clean_answer=_clean_answer(upstream.responses, self.incoming),
        )


def _telling(send: Send, closer: SocketCloser) -> Send:
    """Return a `send` that closes the socket once it is open. The session-end script then loads the page again."""

    async def telling(message: Message) -> None:
        await send(message)
        if message["type"] == "websocket.accept":
            closer.close(contract.CloseCode.SUPERSEDED, contract.CLOSE_REASON_MOVED)

    return telling


def _again(first: Message, receive: Receive) -> Receive:
    """Return a `receive` that gives `first` once more: each upstream that is tried begins with it."""
    given: list[Message] = [first]

    async def received() -> Message:
        return given.pop() if given else await receive()

    return received


def _clean_answer(hygiene: ResponseHygiene, incoming: Incoming) -> CleanAnswer:
    def clean(status: int, given: RawHeaders) -> RawHeaders:
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return hygiene.clean_handshake(given, host=incoming.facts.urls.host)
        return make_private(hygiene.clean(given, host=incoming.facts.urls.host))

    return clean


def _refusal(code: int) -> AuthError:
    """Return the error for a request that is ended with `code` before it got an answer."""
    match code:
        case contract.CloseCode.UNAVAILABLE:
            return StoreUnavailable(detail="the session could not be checked for too long")
        case contract.CloseCode.FORBIDDEN:
            return Forbidden(detail="no longer allowed")
        case _:
            return LoginRequired()


def _without(headers: RawHeaders, dropped: bytes) -> RawHeaders:
    return [(name, value) for name, value in headers if name != dropped]
