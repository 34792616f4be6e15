"""Exchanges with one HTTP upstream over kept-alive connections. They are streamed both ways and share nothing.

There is no cookie jar, no redirect is followed, and no proxy is taken from the environment. The origin comes only from
the configuration.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

from bff.errors import AuthError, BadRequest, UpstreamFailed
from gateway.headers.request import RawHeaders
from gateway.targets import parse_target
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.dial import client_tls, dial
from gateway.upstream.health import Health, noting
from gateway.upstream.messages import UpstreamRequest
from gateway.upstream.pool import LONGEST_IDLE, ConnectionPool
from gateway.upstream.response_parser import ResponseHead

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_TARGET: Final = re.compile(rb"/[!-~]*\Z")
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_FRAMING_HEADERS: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_FRESH: Final = 2.0
"""A request that cannot be sent twice uses no connection that was idle for longer than this, in seconds: Uvicorn closes
idle connections after 5."""


class UpstreamResponse:
    """A response that is being received. Read it to the end, or `close()` it; otherwise its connection stays in use."""

    __slots__ = ("_close", "_connection", "headers", "status")

    def __init__(self, head: ResponseHead, connection: UpstreamConnection, close: Callable[[], None]) -> None:
        self.status = head.status
        self.headers = head.headers
        self._connection = connection
        self._close = close

    @property
    def is_finished(self) -> bool:
        """True when everything was read. The last piece can then be sent on as the last one."""
        return self._connection.is_finished

    async def read(self) -> bytes:
        """Return the next piece as it arrived, `b""` at the end.

        Raises:
            AuthError: the response stays incomplete; the client's connection must not be ended cleanly.
        """
        return await self._connection.read()

    @property
    async def body(self) -> AsyncIterator[bytes]:
        """Iterate over the pieces, then close."""
        try:
            while data := await self.read():
                yield data
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back if the exchange is complete, otherwise end it. This may be called again."""
        self._close()

    async def aclose(self) -> None:
        self.close()


class HttpUpstream:
    """One upstream: `http://host:port[/path]`, `https://…` (verified) or `unix:/path.sock`; time-outs in seconds."""

    def __init__(
        self,
        target: str,
        *,
        connect_timeout: float = 5,
        first_byte_timeout: float = 60,
        idle_timeout: float = 300,
        max_connections: int = 1000,
        ssl_context: ssl.SSLContext | None = None,
        health: Health | None = None,
    ) -> None:
        """`health` is told of every dial; only a route with several upstreams has one."""
        self._health = health
        self.target = parse_target(target)
        self.idle_timeout = idle_timeout
        self._connect_timeout = connect_timeout
        self._first_byte_timeout = first_byte_timeout
        self._ssl = (ssl_context or client_tls()) if self.target.is_tls else None
        self.pool = ConnectionPool(self._dial, max_connections=max_connections, acquire_timeout=connect_timeout)

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send `request` and return when status and headers have arrived. Its body may not all be sent by then.

        If a kept-alive connection turns out to be closed, a request that may be repeated is sent once more on a new
        one.

        Raises:
            DialFailed: nothing of `request` was sent.
            UpstreamFailed: `upstream_connect`, `upstream_timeout` (504), `upstream_protocol`, `upstream_closed`.
            AuthError: whatever `request.body` raised.
        """
        head = build_request_head(request, self.target.base_path, self.target.authority)
        is_repeatable = request.body is None and request.method in _REPEATABLE
        connection = await self.pool.acquire(longest_idle=LONGEST_IDLE if is_repeatable else _FRESH)
        try:
            return await self._exchange(connection, request, head)
        except UpstreamFailed as exc:
            is_stale = connection.exchanges > 1 and connection.is_untouched and exc.code == "upstream_closed"
            if not (is_stale and is_repeatable):
                raise
        return await self._exchange(await self.pool.acquire(longest_idle=0), request, head)

    async def aclose(self) -> None:
        """Close idle connections; those in use close when their exchange ends."""
        await self.pool.aclose()

    async def _dial(self, on_lost: Callable[[UpstreamConnection], None]) -> UpstreamConnection:
        def make() -> UpstreamConnection:
            return UpstreamConnection(
                on_lost, first_byte_timeout=self._first_byte_timeout, idle_timeout=self.idle_timeout
            )

        with noting(self._health):
            return await dial(self.target, make, timeout_seconds=self._connect_timeout, ssl_context=self._ssl)

    async def _exchange(
        self, connection: UpstreamConnection, request: UpstreamRequest, head: bytes
    ) -> UpstreamResponse:
        exchange = _Exchange(self.pool, connection)
        try:
            connection.start(request.method, head, has_body=request.body is not None)
            if request.body is not None:
                exchange.pump = asyncio.create_task(_send_body(connection, request.body, request.content_length))
            head_of_answer = await connection.head()
            if self._health is not None:
                self._health.note_success()  # on a kept-alive connection there was no dial
            return UpstreamResponse(head_of_answer, connection, exchange.close)
        except BaseException:
            exchange.close()
            raise


class _Exchange:
    """The owner of the connection during one exchange: gives it back once, and stops a request body nobody needs."""

    __slots__ = ("_connection", "_is_over", "_pool", "pump")

    def __init__(self, pool: ConnectionPool, connection: UpstreamConnection) -> None:
        self._pool = pool
        self._connection = connection
        self._is_over = False
        self.pump: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self.pump is not None:
            # Nobody waits for its end: the connection is closed below, because its request is not complete.
            self.pump.cancel()
        if self._connection.is_finished:
            self._pool.release(self._connection)
        else:
            self._pool.discard(self._connection)


def build_request_head(request: UpstreamRequest, base_path: bytes, authority: bytes) -> bytes:
    """Serialize request line and headers with exactly one framing.

    Raises:
        BadRequest: a part of it could be read as something else on the wire.
    """
    if not _METHOD.match(request.method) or not _TARGET.match(request.target):
        raise BadRequest("bad_request", detail="method or target")
    lines = [b"%s %s%s HTTP/1.1" % (request.method.encode("ascii"), base_path, request.target)]
    lines += [name + b": " + value for name, value in request.headers if name not in _FRAMING_HEADERS]
    if all(name != b"host" for name, _ in request.headers):
        lines.append(b"host: " + authority)
    lines += [name + b": " + value for name, value in _framing(request)]
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        raise BadRequest("bad_request", detail="line break in a header")
    return head + b"\r\n\r\n"


def _framing(request: UpstreamRequest) -> RawHeaders:
    if request.body is None:
        return [] if request.method in _BODILESS else [(b"content-length", b"0")]
    if request.content_length is None:
        return [(b"transfer-encoding", b"chunked")]
    return [(b"content-length", b"%d" % request.content_length)]


async def _send_body(connection: UpstreamConnection, body: AsyncIterator[bytes], content_length: int | None) -> None:
    """Stream a request body. If the body itself fails, the exchange ends with that failure."""
    sent = 0
    try:
        async for data in body:
            sent += len(data)
            if content_length is not None and sent > content_length:
                raise BadRequest("body_length", detail="longer than announced")
            if data:
                await connection.write(data if content_length is not None else b"%x\r\n%s\r\n" % (len(data), data))
        if content_length is not None and sent != content_length:
            raise BadRequest("body_length", detail="shorter than announced")
        if content_length is None:
            await connection.write(b"0\r\n\r\n")
    except Exception as exc:
        # The upstream may have closed the connection after an answer such as 413: `head` finds that answer.
        if not connection.is_closing:
            connection.abort(
                exc if isinstance(exc, AuthError) else BadRequest("body_broken", detail=type(exc).__name__)
            )
        return
    connection.finish_request()
