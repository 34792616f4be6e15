"""Uvicorn's HTTP protocol with the guards that Uvicorn lacks.

A request reaches the application only if its head can be read in one way (`gateway.serving.head_rules`), is within the
limits, and arrives in time. A refusal is one small answer and one event, and it ends the connection: nothing that
follows is parsed. Trailers are dropped; Uvicorn would append them to the request's headers.

If an answer is sent before the whole body has arrived, it is the last of its connection and says so. On an open
connection the two sides could disagree: the server waits for the rest of the body, while the client (or a proxy, for
its next client) sends the next request.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import httptools
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from bff.audit import Audit
from gateway.headers.forwarded import shows_secret
from gateway.serving import close_delimited, head_rules
from gateway.serving.gentle_transport import GentleTransport, reset
from gateway.serving.head_rules import RequestRefused, expects_continue, has_body, offers_websocket, validate_head
from gateway.serving.websocket import GuardedWebSocketProtocol

if TYPE_CHECKING:
    from gateway.serving.server import GuardedConfig

BODY_FLOOR_BYTES_PER_SECOND = 100
BODY_WINDOWS = 3
"""The progress of a body is measured over this many `header_timeout_seconds`."""
FRAMING_ALLOWANCE_BYTES = 65_536
FRAMING_PER_BODY_BYTE = 8
"""The limit for chunk heads, chunk extensions and trailers. An endless extension would exceed it."""
WRITE_STALL_SECONDS = 300.0
"""A client that reads nothing of its answer for this long is gone or hostile."""

_audit = Audit()


class GuardedHttpProtocol(HttpToolsProtocol):
    """One client connection. A timer runs only while the client has something to send, so a complete request needs
    none."""

    config: GuardedConfig

    def __init__(
        self,
        config: GuardedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._address = ""
        self._is_stranger = False
        """It comes from a proxy's address and did not show the proxy's secret."""
        self._in_head = True
        self._begun = False
        self._head_bytes = 0
        self._head_fed = 0
        self._body_bytes = 0
        self._body_bytes_at_check = 0
        self._framing_bytes = 0
        self._was_paused = False
        self._is_deaf = False
        """True when nothing is parsed any more and what comes is discarded."""
        self._answered_early = False
        self._takes_upgrade = False
        self._has_unread_body = False
        """True between the head of a request whose offer to upgrade is ignored, and its body."""
        self._gentle: GentleTransport = cast(GentleTransport, None)
        self._owed: asyncio.TimerHandle | None = None
        self._write_stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the parent class: a stream transport
        super().connection_made(transport)
        self._gentle = GentleTransport(transport, self.loop, on_end=self._on_end)
        self._address = self.client[0] if self.client else ""
        connections = self.config.open_connections
        if not connections.open(self._address):
            if connections.is_flooded(self._address):
                transport.abort()  # before the answer: the connection stays open while it is written
            self._refuse(RequestRefused("connections_too_many", 429))
        else:
            self._expect_something()

    def connection_lost(self, exc: Exception | None) -> None:
        self._release()
        super().connection_lost(exc)

    def _release(self) -> None:
        self._stop_waiting()
        self._gentle.forget()
        if self._write_stall is not None:
            self._write_stall.cancel()
        self.config.open_connections.close(self._address, is_stranger=self._is_stranger)
        self._address = ""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_deaf:
            self._gentle.discard(len(data))
            return
        was_in_head = self._in_head and self._begun
        body_before = self._body_bytes if not self._in_head else -1
        try:
            if self._is_upgraded_by(data):
                return
        except httptools.HttpParserError as fault:
            cause = fault.__context__
            if isinstance(cause, _Over):
                self._is_deaf = True
                return
            self._refuse(cause if isinstance(cause, RequestRefused) else RequestRefused(self._malformed))
            return
        if was_in_head and self._in_head:
            self._count_unfinished_head(len(data))
        elif body_before >= 0 and not self._in_head:
            self._count_framing(len(data) - (self._body_bytes - body_before))
        if not self._is_deaf:
            self._expect_something()

    def _is_upgraded_by(self, data: bytes) -> bool:
        """Parse `data`. The parser stops behind each request with an offer to upgrade, also behind ignored ones."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._takes_upgrade:
                    break
                if self._has_unread_body:
                    self._let_a_new_parser_read_the_body()
                if data:
                    continue
            return False
        self._stop_waiting()
        if data:
            self._refuse(RequestRefused("upgrade_with_body"))
        else:
            self.handle_websocket_upgrade()
        return True

    def _let_a_new_parser_read_the_body(self) -> None:
        """The parser takes any request with an offer to upgrade for one without a body. A new one gets a head with the
        same framing, and reports only what follows."""
        framing = next(header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding"))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s: %s\r\n\r\n" % framing)
        self._has_unread_body = False

    def _count_unfinished_head(self, received: int) -> None:
        """Count the bytes of an unfinished head. The parser reports only complete headers, so an endless one shows
        here."""
        self._head_fed += received
        if self._head_fed > self._limits.header_bytes + self._limits.url_bytes:
            self._refuse(RequestRefused("headers_too_large", 431))

    def _count_framing(self, overhead: int) -> None:
        self._framing_bytes += max(overhead, 0)
        if self._framing_bytes > FRAMING_ALLOWANCE_BYTES + FRAMING_PER_BODY_BYTE * self._body_bytes:
            self._refuse(RequestRefused("chunk_framing_too_large"))

    # The parser's callbacks. An exception from them comes back as the context of the parser's own error.

    def on_message_begin(self) -> None:
        if self._has_unread_body:
            return
        if self.cycle is not None and not self.cycle.keep_alive:
            raise _Over  # the request before this one is the last
        super().on_message_begin()
        self._in_head, self._begun = True, True
        self._head_bytes = self._head_fed = 0

    def on_url(self, url: bytes) -> None:
        if self._has_unread_body:
            return
        self.url += url
        if head_rules.is_too_long(self.url, self._limits, login=self.config.login_target):
            raise RequestRefused("url_too_long", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head or self._has_unread_body:
            return  # a trailer: a header that is hidden here must have no effect
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._limits.header_bytes:
            raise RequestRefused("headers_too_large", 431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._has_unread_body:
            return
        version = self.parser.get_http_version()
        is_offered = self.parser.should_upgrade()
        is_taken = is_offered and self.config.takes_websockets and offers_websocket(version, self.headers)
        self._takes_upgrade = upgrade = is_taken
        if is_offered and not upgrade:  # Uvicorn must not see the offer: it reads only the last `Upgrade`
            self.headers[:] = [header for header in self.headers if header[0] != b"upgrade"]
        self.url = validate_head(
            self.parser.get_method(),
            self.url,
            version=version,
            headers=self.headers,
            upgrade=upgrade,
            limits=self._limits,
        )
        if upgrade and self._answering():
            raise RequestRefused("upgrade_refused")  # the tunnel would mix with an answer that is still to come
        if upgrade and not self._should_upgrade():
            raise RequestRefused("upgrade_refused")  # hidden from Uvicorn, which would answer and then upgrade as well
        self._count_stranger()
        if self.expect_100_continue and not expects_continue(version, self.headers):
            self.expect_100_continue = False
        super().on_headers_complete()
        if not upgrade:
            self.cycle.transport = cast(asyncio.Transport, self._gentle)
        self._stop_waiting()
        self._in_head = self._begun = False
        self._body_bytes = self._body_bytes_at_check = self._framing_bytes = 0
        self._has_unread_body = is_offered and not upgrade and has_body(self.headers)

    def _count_stranger(self) -> None:
        """Count a connection that was exempt as a proxy's, from its first request without the proxy's secret on."""
        connections = self.config.open_connections
        if self._is_stranger or not connections.has_to_show_secret(self._address):
            return
        if shows_secret(self.headers, self.config.proxy_secret):
            return
        self._is_stranger = True
        if not connections.open(self._address, is_stranger=True):
            raise RequestRefused("connections_too_many", 429)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)
        self._was_paused |= self.flow.read_paused

    def on_message_complete(self) -> None:
        if self._has_unread_body:
            return
        self._stop_waiting()
        self._in_head = True
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        is_old = cycle.scope["http_version"] == close_delimited.OLD

        async def answering(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            async def sending(message: ASGISendEvent) -> None:
                if message["type"] == "http.response.start" and cycle.more_body:
                    cycle.keep_alive = False
                    self._answered_early = True
                await send(close_delimited.without_chunks(cycle, message) if is_old else message)

            try:
                await app(scope, receive, sending)
            finally:
                if is_old and cycle.response_started and not cycle.response_complete:
                    reset(self.transport)

        super()._start_asgi_task(cycle, answering)

    def on_response_complete(self) -> None:
        if self._gentle.is_ending:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def shutdown(self) -> None:
        if not self._gentle.is_ending:
            super().shutdown()

    def _on_end(self) -> None:
        self._is_deaf = True
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        self.flow.resume_reading()

    def handle_websocket_upgrade(self) -> None:
        self._release()
        if self._is_stranger:
            stranger = partial(GuardedWebSocketProtocol, is_stranger=True)
            self.ws_protocol_class = cast(type[asyncio.Protocol], stranger)
        super().handle_websocket_upgrade()

    def _expect_something(self) -> None:
        """Start the timer for what the client must send next: the rest of a head, or the rest of a body."""
        if self._owed is not None or self._gentle.is_closing() or self._answered_early:
            return
        seconds = self._limits.header_timeout_seconds
        if not self._in_head:
            self._body_bytes_at_check = self._body_bytes
            self._owed = self.loop.call_later(BODY_WINDOWS * seconds, self._check_body)
        elif self._begun or not self._answering():
            self._owed = self.loop.call_later(seconds, self._give_up_on_head)

    def _stop_waiting(self) -> None:
        if self._owed is not None:
            self._owed.cancel()
            self._owed = None

    def _give_up_on_head(self) -> None:
        self._owed = None
        if self._begun:
            self._refuse(RequestRefused("header_timeout", 408))
        else:
            self.transport.close()  # browsers open connections early and do not use them: nothing to report

    def _check_body(self) -> None:
        self._owed = None
        if self._answered_early:
            return  # a client that has its answer need not send the rest of its body
        waiting_for_us = self._was_paused or self.cycle.waiting_for_100_continue
        floor = BODY_FLOOR_BYTES_PER_SECOND * BODY_WINDOWS * self._limits.header_timeout_seconds
        if not waiting_for_us and self._body_bytes - self._body_bytes_at_check < floor:
            self._refuse(RequestRefused("body_timeout", 408))
            return
        self._was_paused = self.flow.read_paused
        self._expect_something()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_stall = self.loop.call_later(WRITE_STALL_SECONDS, reset, self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_stall is not None:
            self._write_stall.cancel()
            self._write_stall = None

    @property
    def _malformed(self) -> str:
        return "head_malformed" if self._in_head else "body_malformed"

    def _answering(self) -> bool:
        """True while a request before this point has no complete answer yet."""
        if self.cycle is None:
            return False  # before the first request
        return not self.cycle.response_complete

    def _refuse(self, refusal: RequestRefused) -> None:
        self._is_deaf = True
        self._stop_waiting()
        _audit.event("request_refused", reason=refusal.code, client=self._address)
        if not self._answering():
            self._answer_and_close(refusal)
        elif self._in_head:
            # The requests before this one were valid: they get their answers, then the connection ends.
            self.cycle.keep_alive = False
        elif self.pipeline:
            # The broken request waits for its turn and is then answered without the application.
            self.pipeline[0] = (self.pipeline[0][0], _Refusal(refusal))
        else:
            self._break_off(refusal)

    def _break_off(self, refusal: RequestRefused) -> None:
        """End a request that the application is already answering, because its body is faulty."""
        started = self.cycle.response_started
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.flow.resume_writing()
        if started:
            reset(self.transport)
        else:
            self._answer_and_close(refusal)

    def _answer_and_close(self, refusal: RequestRefused) -> None:
        if not self._gentle.is_closing():
            self.transport.write(refusal.answer)
            self._gentle.close()


class _Over(Exception):
    """The state after the last answer of a connection: no further request begins."""


class _Refusal:
    """An ASGI application that answers with a refusal in place of the real one."""

    def __init__(self, refusal: RequestRefused) -> None:
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        body = self._refusal.phrase
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self._refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
