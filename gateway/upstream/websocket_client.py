"""Open a WebSocket to an upstream with exactly the given headers: the `websockets` client without its own additions.

It takes no proxy from the environment, offers no compression, and adds no Host or Origin. `Sec-WebSocket-Protocol` goes
once, with the entries in the browser's order: Streamlit reads them by position.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, SecurityError
from websockets.http11 import Request
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from bff.errors import UpstreamFailed
from gateway.headers.request import RawHeaders
from gateway.targets import parse_target
from gateway.upstream.dial import client_tls, dial
from gateway.upstream.health import Health, noting

_HANDSHAKE: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-protocol",
        b"sec-websocket-version",
        b"transfer-encoding",
        b"upgrade",
    }
)
_CLOSE_SECONDS: Final = 1.0
_PING_SECONDS: Final = 20.0
_logger = logging.getLogger("vestibule.websocket")
_logger.setLevel(logging.WARNING)  # At lower levels the library prints headers and frames.


class UpstreamRefused(Exception):
    """The upstream answered the handshake with something other than 101."""

    def __init__(self, status: int, headers: RawHeaders, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        super().__init__(status)


class WebSocketUpstream:
    """One upstream for sockets: `http://`, `https://` or `unix:`. `connect_timeout` covers dialling and handshake."""

    def __init__(
        self,
        target: str,
        *,
        connect_timeout: float = 5,
        ssl_context: ssl.SSLContext | None = None,
        health: Health | None = None,
    ) -> None:
        """`health` is told of every dial; only a route with several upstreams has one."""
        self._health = health
        self.target = parse_target(target)
        self._connect_timeout = connect_timeout
        self._ssl = (ssl_context or client_tls()) if self.target.is_tls else None

    async def connect(
        self, target: bytes, headers: RawHeaders, *, subprotocols: Sequence[str], max_message: int
    ) -> ClientConnection:
        """Open a socket at `target`. A message of more than `max_message` bytes ends it with 1009.

        Raises:
            UpstreamRefused: the upstream answered with an HTTP status.
            DialFailed: nothing was sent.
            UpstreamFailed: `upstream_connect`, `upstream_timeout` (504), `upstream_protocol`, `upstream_closed`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._connect_timeout
        make = self._connection_factory(target, headers, subprotocols=subprotocols, max_message=max_message)
        with noting(self._health):
            connection = await dial(self.target, make, timeout_seconds=self._connect_timeout, ssl_context=self._ssl)
        try:
            async with asyncio.timeout_at(deadline):
                await connection.handshake(None, None)
        except BaseException as exc:
            connection.transport.abort()
            if isinstance(exc, Exception):
                raise _translated(exc) from exc
            raise
        connection.start_keepalive()
        return connection

    def _connection_factory(
        self, target: bytes, headers: RawHeaders, *, subprotocols: Sequence[str], max_message: int
    ) -> Callable[[], ClientConnection]:
        protocol = _ExactProtocol(
            WebSocketURI(self.target.is_tls, self.target.host, self.target.port, "/", ""),
            request_target=(self.target.base_path + target).decode("ascii"),
            headers=_with_host(headers, self.target.authority),
            subprotocols=[Subprotocol(entry) for entry in subprotocols],
            max_message=max_message,
        )
        return lambda: _ImpatientConnection(protocol)


class _ExactProtocol(ClientProtocol):
    """A handshake request with the given headers and the headers that every handshake needs, nothing else."""

    def __init__(
        self,
        uri: WebSocketURI,
        *,
        request_target: str,
        headers: RawHeaders,
        subprotocols: Sequence[Subprotocol],
        max_message: int,
    ) -> None:
        super().__init__(uri, subprotocols=subprotocols or None, max_size=max_message, logger=_logger)
        self._request_target = request_target
        self._given = headers

    def connect(self) -> Request:
        headers = Headers()
        for name, value in self._given:
            if name not in _HANDSHAKE:
                headers[name.decode("ascii")] = value.decode("latin-1")
        headers["Upgrade"] = "websocket"
        headers["Connection"] = "Upgrade"
        headers["Sec-WebSocket-Key"] = self.key
        headers["Sec-WebSocket-Version"] = "13"
        if self.available_subprotocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(self.available_subprotocols)
        return Request(self._request_target, headers)


class _ImpatientConnection(ClientConnection):
    """A connection that does not wait long for the upstream to close TCP after the closing frames.

    It holds one message in hand and one that is arriving, no more. Pongs have no time limit: a browser that reads
    slowly slows the reads from the upstream, pongs included. The kernel's probes find a host that disappeared (`dial`).
    """

    def __init__(self, protocol: ClientProtocol) -> None:
        super().__init__(
            protocol, ping_interval=_PING_SECONDS, ping_timeout=None, close_timeout=_CLOSE_SECONDS, max_queue=1
        )
        self._end: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._end is None and self.response is not None and self.protocol.close_expected():
            self._end = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


def _with_host(headers: RawHeaders, authority: bytes) -> RawHeaders:
    return headers if any(name == b"host" for name, _ in headers) else [(b"host", authority), *headers]


def _translated(exc: Exception) -> Exception:
    if isinstance(exc, InvalidStatus):
        response = exc.response
        if 400 <= response.status_code <= 599:
            items = response.headers.raw_items()
            given = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in items]
            return UpstreamRefused(response.status_code, given, bytes(response.body or b""))
        return UpstreamFailed("upstream_protocol", detail=f"answered a WebSocket with {response.status_code}")
    if isinstance(exc, TimeoutError):
        return UpstreamFailed("upstream_timeout", detail="no handshake in time", status=504)
    if isinstance(exc, InvalidMessage) and isinstance(exc.__cause__, EOFError):
        return UpstreamFailed("upstream_closed", detail="closed inside the handshake")
    if isinstance(exc, InvalidHandshake | SecurityError):
        return UpstreamFailed("upstream_protocol", detail=type(exc).__name__)
    return UpstreamFailed("upstream_closed", detail=type(exc).__name__)
