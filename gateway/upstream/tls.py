"""TLS towards an upstream, by the protocol of the standard library, so that no answer is lost at a reset.

The TLS of uvloop keeps data that it has not decrypted yet where no other code can reach it. When an upstream answers
and then resets the connection, such an answer would be lost.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Final

from gateway.upstream.last_bytes import last_bytes

MOST_LEFT: Final = 1_048_576
"""Read at most about this many bytes after a reset: a long answer is cut, as its connection was."""


class TlsToUpstream(SSLProtocol):
    """Between the transport and the protocol of one connection. After a reset it reads what had arrived by then."""

    def __init__(
        self, protocol: asyncio.BaseProtocol, context: ssl.SSLContext, *, host: str, is_ready: asyncio.Future[None]
    ) -> None:
        super().__init__(asyncio.get_running_loop(), protocol, context, is_ready, server_hostname=host)
        self._connected: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected = transport
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and self._connected is not None:
            self._read_what_is_left(self._connected)
        self._connected = None
        super().connection_lost(exc)

    def _read_what_is_left(self, connected: asyncio.BaseTransport) -> None:
        count = 0
        for data in last_bytes(connected):
            self.get_buffer(len(data))[: len(data)] = data
            self.buffer_updated(len(data))
            count += len(data)
            if count > MOST_LEFT:
                return


async def connect_with_tls(
    protocol: asyncio.BaseProtocol, context: ssl.SSLContext, *, host: str, port: int
) -> asyncio.BaseTransport:
    """Connect, shake hands, and return the TCP transport. `protocol` then has the transport above it.

    Raises:
        OSError: as `loop.create_connection`; also `ssl.SSLError`.
    """
    loop = asyncio.get_running_loop()
    is_ready: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_connection(
        lambda: TlsToUpstream(protocol, context, host=host, is_ready=is_ready), host, port
    )
    try:
        await is_ready
    except BaseException:
        transport.abort()
        raise
    return transport
