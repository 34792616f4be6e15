"""Relay whole messages between an ASGI WebSocket and an upstream WebSocket, with bounded back-pressure.

A close is passed on in both directions, with code and reason; a `SocketCloser` ends both sides at once. When the
upstream refuses the handshake, the client gets an HTTP response, never a tunnel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bff.contract import CloseCode
from gateway.headers.request import RawHeaders
from gateway.upstream.messages import CleanAnswer, Side, SocketEnd
from gateway.upstream.socket_closer import SocketCloser
from gateway.upstream.socket_frames import close_client, is_larger, is_sendable, payload
from gateway.upstream.websocket_client import UpstreamRefused, WebSocketUpstream

_GRACE_SECONDS: Final = 2.0
_NO_STATUS: Final = 1005
_GOING_AWAY: Final = 1001
_OF_THIS_HOP: Final = frozenset({b"content-length", b"date", b"server"})
"""Headers of a 101 that the server here writes itself, or that mean nothing there."""
_PASSED_ON: Final = frozenset({b"content-type", b"retry-after", b"www-authenticate"})


async def relay_websocket(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    upstream: WebSocketUpstream,
    request_headers: RawHeaders,
    target: bytes,
    subprotocols: Sequence[str],
    max_client_message: int,
    max_upstream_message: int,
    closer: SocketCloser,
    on_client_message: Callable[[], None] | None = None,
    accept_headers: RawHeaders | None = None,
    clean_answer: CleanAnswer | None = None,
) -> SocketEnd:
    """Relay until one side or `closer` ends it. Nothing may have been received from `receive` before.

    `request_headers` are final and carry the client's Host and Origin. `subprotocols` are all entries as they were
    sent. Of the headers in the upstream's answer those go on that `clean_answer` keeps. Sizes are bytes per message.
    `on_client_message` is called for each message of the client, since it may be activity.

    Raises:
        UpstreamFailed: before the handshake is answered; answer it with an HTTP error.
    """
    if (await receive())["type"] != "websocket.connect":
        return SocketEnd(0, "", "client", status=0)
    try:
        connection = await _connect_unless_closed(
            upstream.connect(target, request_headers, subprotocols=subprotocols, max_message=max_upstream_message),
            closer,
        )
    except UpstreamRefused as refusal:
        return await _pass_refusal(scope, send, refusal)
    if connection is None:
        return await _refuse_closed(send, closer)
    relay = _SocketRelay(scope, receive, send, connection, closer)
    relay.max_client_message = max_client_message
    relay.on_client_message = on_client_message
    try:
        headers = [*(accept_headers or []), *_answer_headers(connection, clean_answer)]
        await send({"type": "websocket.accept", "subprotocol": connection.subprotocol, "headers": headers})
        return await relay.run()
    finally:
        connection.transport.abort()


def _answer_headers(connection: ClientConnection, clean_answer: CleanAnswer | None) -> RawHeaders:
    """Return what the client gets of the headers of the upstream's 101, above all its cookies.

    Raises:
        UpstreamFailed: a header that nobody may send.
    """
    if clean_answer is None or connection.response is None:
        return []
    items = connection.response.headers.raw_items()
    given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in items]
    kept = clean_answer(HTTPStatus.SWITCHING_PROTOCOLS, given)
    return [(name, value) for name, value in kept if name not in _OF_THIS_HOP]


class _SocketRelay:
    def __init__(
        self, scope: Scope, receive: Receive, send: Send, connection: ClientConnection, closer: SocketCloser
    ) -> None:
        self.max_client_message = 0
        self.on_client_message: Callable[[], None] | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._connection = connection
        self._closer = closer
        self._client_messages = 0

    async def run(self) -> SocketEnd:
        from_client = asyncio.create_task(self._client_to_upstream())
        from_upstream = asyncio.create_task(self._upstream_to_client())
        ordered = asyncio.create_task(self._wait_for_order())
        tasks = [ordered, from_client, from_upstream]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        end = next(task for task in tasks if task in done).result()
        await asyncio.gather(self._close_client(end), self._close_upstream(end))
        return end

    async def _client_to_upstream(self) -> SocketEnd:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return self._end(message.get("code") or _NO_STATUS, message.get("reason") or "", "client")
            data: bytes | str = payload(message)
            if is_larger(data, self.max_client_message):
                return self._end(CloseCode.TOO_LARGE, "message too large", "gateway")
            self._client_messages += 1
            if self.on_client_message is not None:
                self.on_client_message()
            try:
                await self._connection.send(data)
            except ConnectionClosed:
                # The upstream's last messages are still being delivered; that side ends the relay.
                await asyncio.Event().wait()

    async def _upstream_to_client(self) -> SocketEnd:
        while True:
            try:
                data = await self._connection.recv()
            except ConnectionClosed:
                return self._upstream_end()
            kind = "text" if isinstance(data, str) else "bytes"
            try:
                await self._send({"type": "websocket.send", kind: data})
            except OSError:
                return self._end(_NO_STATUS, "", "client")

    async def _wait_for_order(self) -> SocketEnd:
        order = await self._closer.wait()
        return self._end(order.code, order.reason, "gateway")

    def _upstream_end(self) -> SocketEnd:
        """Return how the upstream closed: its own code, 1009 if we refused a message, 1013 if it just disappeared."""
        protocol = self._connection.protocol
        if protocol.close_rcvd is not None and (protocol.close_sent is None or protocol.close_rcvd_then_sent):
            code = protocol.close_rcvd.code
            return self._end(1000 if code == _NO_STATUS else code, protocol.close_rcvd.reason, "upstream")
        if protocol.close_sent is not None and protocol.close_sent.code == CloseCode.TOO_LARGE:
            return self._end(CloseCode.TOO_LARGE, "message too large", "gateway")
        return self._end(CloseCode.UNAVAILABLE, "upstream closed", "upstream")

    async def _close_client(self, end: SocketEnd) -> None:
        if end.by == "client":
            return
        await close_client(self._scope, self._send, code=end.code, reason=end.reason)

    async def _close_upstream(self, end: SocketEnd) -> None:
        """Tell the upstream why the socket ends, if it may know, and do not wait long for its answer."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                if end.by == "client" and end.code == _NO_STATUS:
                    async with self._connection.send_context():
                        self._connection.protocol.send_close()
                elif end.by == "client" and is_sendable(end.code):
                    await self._connection.close(end.code, end.reason)
                else:
                    await self._connection.close(
                        CloseCode.TOO_LARGE if end.code == CloseCode.TOO_LARGE else _GOING_AWAY
                    )
        except (ConnectionClosed, TimeoutError):
            return  # The caller aborts the transport.

    def _end(self, code: int, reason: str, by: Side) -> SocketEnd:
        return SocketEnd(
            int(code),
            reason,
            by,
            client_messages=self._client_messages,
        )


async def _connect_unless_closed(
    connect: Coroutine[Any, Any, ClientConnection], closer: SocketCloser
) -> ClientConnection | None:
    """Connect. Return None when `closer` was called before the connection was open."""
    connecting = asyncio.create_task(connect)
    ordered = asyncio.create_task(closer.wait())
    try:
        await asyncio.wait({connecting, ordered}, return_when=asyncio.FIRST_COMPLETED)
        if not ordered.done():
            return connecting.result()
    except asyncio.CancelledError:
        connecting.add_done_callback(_abort_late)
        raise
    finally:
        ordered.cancel()
        connecting.cancel()  # nobody waits: a server may hold the dial; `_abort_late` closes what it still opens
        await asyncio.wait((ordered,))
    connecting.add_done_callback(_abort_late)
    return None


def _abort_late(connecting: asyncio.Task[ClientConnection]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().transport.abort()


async def _pass_refusal(scope: Scope, send: Send, refusal: UpstreamRefused) -> SocketEnd:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        headers = [(name, value) for name, value in refusal.headers if name in _PASSED_ON]
        headers += [
            (b"content-length", b"%d" % len(refusal.body)),
            (b"cache-control", b"no-store"),  # a shared cache could store it as the answer to a plain GET
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": refusal.body})
    else:
        await send({"type": "websocket.close"})
    return SocketEnd(0, "", "upstream", status=refusal.status)


async def _refuse_closed(send: Send, closer: SocketCloser) -> SocketEnd:
    order = await closer.wait()
    await send({"type": "websocket.close", "code": order.code, "reason": order.reason})
    return SocketEnd(0, order.reason, "gateway", status=403)
