"""Uvicorn's WebSocket protocol, with counted connections, a close that does not wait for the client, and refusals
whose answer is not lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from bff.audit import Audit
from gateway.serving.gentle_transport import GentleTransport
from gateway.serving.head_rules import RequestRefused
from gateway.upstream.socket_frames import CLOSE_EXTENSION

if TYPE_CHECKING:
    from gateway.serving.server import GuardedConfig

NO_STORE = (b"cache-control", b"no-store")
CLOSE_SECONDS = 2
"""Seconds between our close frame and the end of the connection."""

_audit = Audit()


class GuardedWebSocketProtocol(WebSocketsSansIOProtocol):
    """Counts a WebSocket among the connections of its address, and can close it although the client may not be
    reading."""

    config: GuardedConfig

    def __init__(self, *arguments: Any, is_stranger: bool = False, **more: Any) -> None:
        """`is_stranger`: the handshake came from a proxy's address, without the proxy's secret."""
        super().__init__(*arguments, **more)
        self._is_stranger = is_stranger

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        remote = get_remote_addr(cast(asyncio.Transport, transport))
        self._address = remote[0] if remote else ""
        self.config.open_connections.open(self._address, is_stranger=self._is_stranger)
        super().connection_made(transport)
        self._plain = self.transport
        self._gentle = GentleTransport(self.transport, self.loop, on_end=lambda: None)
        self.transport = cast(asyncio.Transport, self._gentle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gentle.forget()
        self.config.open_connections.close(self._address, is_stranger=self._is_stranger)
        super().connection_lost(exc)

    def start_keepalive(self) -> None:
        """Start the pings: the handshake is accepted. From now on a close frame ends the connection, and no answer can
        be lost."""
        self.transport = self._plain
        super().start_keepalive()

    async def send(self, message: ASGISendEvent) -> None:
        """Send as the parent class does. No cache may store the answer to a refused handshake."""
        if message["type"] == "websocket.close" and not self.handshake_complete and self.initial_response is None:
            await super().send({"type": "websocket.http.response.start", "status": 403, "headers": [NO_STORE]})
            await super().send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
        else:
            await super().send(message)

    def data_received(self, data: bytes) -> None:
        if self._gentle.is_ending:
            self._gentle.discard(len(data))
        else:
            super().data_received(data)

    def handle_parser_exception(self) -> None:
        """Handle bytes after the handshake that are not a frame. Nothing may come before the answer (RFC 6455 section
        4.1)."""
        if self.handshake_complete:
            super().handle_parser_exception()
            return
        refusal = RequestRefused("upgrade_with_body")
        _audit.event("request_refused", reason=refusal.code, client=self._address)
        self.close_sent = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        self.transport.write(refusal.answer)
        self.transport.close()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            extensions: Any = self.scope["extensions"]
            extensions[CLOSE_EXTENSION] = self.close_now

    def close_now(self, code: int, reason: str) -> None:
        """Send a close frame although the client may not be reading, and cut the connection soon after."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
