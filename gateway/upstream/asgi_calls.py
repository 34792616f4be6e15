"""The layer between an application in this process and the client: it sets limits, rewrites answers, ends calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from bff.contract import CloseCode
from bff.errors import AuthError, UpstreamFailed
from gateway.headers.request import RawHeaders
from gateway.upstream.client_side import too_large
from gateway.upstream.messages import BodyTransform, CleanAnswer, RelayResult, RewriteResponse, Side, SocketEnd
from gateway.upstream.response_parser import check_final
from gateway.upstream.socket_frames import close_client, is_larger, payload

_GRACE_SECONDS: Final = 2.0
_NO_STATUS: Final = 1005


class HttpCall:
    """One HTTP request: limits the body, and rewrites the response."""

    def __init__(self, receive: Receive, send: Send, *, max_body_bytes: int, rewrite_response: RewriteResponse) -> None:
        self._receive = receive
        self._send = send
        self._max = max_body_bytes
        self._rewrite = rewrite_response
        self._transform: BodyTransform | None = None
        self._given_status = 0
        self._status = 0
        self._received = 0
        self._sent = 0
        self._is_complete = False
        self._error: AuthError | None = None
        self.is_client_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.is_client_gone = not self._is_complete
            return message
        self._received += len(message.get("body", b""))
        if self._max and self._received > self._max:
            self._error = self._error or too_large()
            raise self._error
        return message

    async def send(self, message: Message) -> None:
        if self._error is not None:
            raise self._error
        if message["type"] == "http.response.start":
            await self._start(message)
        elif message["type"] == "http.response.body":
            await self._body(message)

    async def _start(self, message: Message) -> None:
        given = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", [])]
        try:
            check_final(message["status"], given)
            headers, self._transform = self._rewrite(message["status"], given)
        except AuthError as exc:
            self._error = exc
            raise
        self._given_status = message["status"]
        if message["status"] in (204, 304):
            headers = [header for header in headers if header[0] != b"content-length"]
        await self._begin(headers if self._transform is None else self._transform.headers)

    async def _begin(self, headers: RawHeaders | None) -> None:
        """Send status and headers once they are decided."""
        if headers is not None and not self._status:
            self._status = self._given_status
            await self._send({"type": "http.response.start", "status": self._status, "headers": headers})

    async def _body(self, message: Message) -> None:
        data: bytes = bytes(message.get("body", b""))
        more: bool = message.get("more_body", False)
        if self._transform is not None:
            data = self._transform.feed(data) + (b"" if more else self._transform.finish())
            await self._begin(self._transform.headers)
        self._sent += len(data)
        self._is_complete = not more
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def fail(self, exc: Exception) -> None:
        """Note that the application failed. The caller answers this if the response has not begun yet."""
        if self._error is None:
            self._error = UpstreamFailed(detail=f"the application raised {type(exc).__name__}")
            self._error.__cause__ = exc

    def result(self) -> RelayResult:
        if self._error is not None and not self._status:
            raise self._error
        if not self._status and not self.is_client_gone:
            raise UpstreamFailed("upstream_closed", detail="the application did not answer")
        error = self._error
        if error is None and not self._is_complete and not self.is_client_gone:
            error = UpstreamFailed("upstream_closed", detail="the application did not finish its answer")
        return RelayResult(
            self._status,
            request_bytes=self._received,
            response_bytes=self._sent,
            error=error,
            is_client_gone=self.is_client_gone,
        )


class SocketCall:
    """One WebSocket: counts and limits the client's messages, and remembers which side ended it."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        max_client_message: int,
        on_client_message: Callable[[], None] | None,
        clean_answer: CleanAnswer,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._max = max_client_message
        self._on_client_message = on_client_message
        self._clean_answer = clean_answer
        self._is_accepted = False
        self._over = asyncio.Event()
        self._status = 403
        self._code = 0
        self._reason = ""
        self._by: Side = "upstream"
        self._client_messages = 0
        self.met_too_large = asyncio.Event()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._note(message.get("code") or _NO_STATUS, message.get("reason") or "", "client")
        elif message["type"] == "websocket.receive":
            if is_larger(payload(message), self._max):
                self.met_too_large.set()
                await self._over.wait()  # The line above asks for the end.
                return {"type": "websocket.disconnect", "code": self._code, "reason": self._reason}
            self._client_messages += 1
            if self._on_client_message is not None:
                self._on_client_message()
        return message

    async def send(self, message: Message) -> None:
        if self._over.is_set():
            return
        if message["type"] in ("websocket.accept", "websocket.http.response.start"):
            message = {**message, "headers": self._cleaned(message)}
        match message["type"]:
            case "websocket.accept":
                self._is_accepted = True
                self._status = 101
            case "websocket.http.response.start":
                self._status = message["status"]
            case "websocket.close":
                self._note(message.get("code", 1000), message.get("reason") or "", "upstream")
        await self._send(message)

    def _cleaned(self, message: Message) -> RawHeaders:
        given = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers") or ()]
        if message["type"] == "websocket.http.response.start":
            check_final(message["status"], given)
        return self._clean_answer(message.get("status", 101), given)

    async def end_by_gateway(self, code: int, reason: str, running: asyncio.Future[Any]) -> None:
        """Close the client's side at once, then give the application a moment to notice."""
        self._note(code, reason, "gateway")
        await close_client(self._scope, self._send, code=code, reason=reason)
        await asyncio.wait({running}, timeout=_GRACE_SECONDS)

    async def end_by_application(self, running: asyncio.Future[Any]) -> None:
        """Close what the application left open when it returned or failed."""
        if self._over.is_set():
            return
        if not self._is_accepted and self._status == 403 and running.exception() is not None:
            raise UpstreamFailed(detail="the application broke") from running.exception()
        if self._is_accepted:
            await self.end_by_gateway(CloseCode.UNAVAILABLE, "upstream closed", running)

    def result(self) -> SocketEnd:
        return SocketEnd(
            self._code if self._is_accepted else 0,
            self._reason,
            self._by,
            client_messages=self._client_messages,
            status=self._status,
        )

    def _note(self, code: int, reason: str, by: Side) -> None:
        if not self._over.is_set():
            self._over.set()
            self._code, self._reason, self._by = int(code), reason, by
