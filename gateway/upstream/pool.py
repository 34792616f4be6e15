"""Keep-alive connections to one upstream: the most recently used goes first, their number is limited, waiters queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from bff.errors import UpstreamFailed
from gateway.upstream.connection import UpstreamConnection

LONGEST_IDLE: Final = 55.0
"""After this many idle seconds a connection is not used again: most servers and balancers close it soon after."""

Connect = Callable[[Callable[[UpstreamConnection], None]], Awaitable[UpstreamConnection]]
"""A function that opens a connection and is told when it is lost."""


class ConnectionPool:
    """Connections, each for one exchange at a time. After `acquire` call either `release` or `discard`, once."""

    def __init__(self, connect: Connect, *, max_connections: int, acquire_timeout: float) -> None:
        self._connect = connect
        self._max = max_connections
        self._timeout = acquire_timeout
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()
        self._dialling = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    @property
    def open_connections(self) -> int:
        return len(self._idle) + len(self._busy) + self._dialling

    @property
    def idle_connections(self) -> int:
        return len(self._idle)

    async def acquire(self, *, longest_idle: float = LONGEST_IDLE) -> UpstreamConnection:
        """Take a connection that was idle for at most `longest_idle` seconds (0: take none), or open a new one.

        Raises:
            UpstreamFailed: `upstream_connect`, `upstream_timeout`; status 503 when all connections stay busy.
        """
        if self._waiters:
            await self._wait_for_turn()
        while True:
            if self._is_closed:
                raise UpstreamFailed("upstream_connect", detail="shutting down", status=503)
            if (connection := self._take_idle(longest_idle)) is not None:
                return connection
            if self.open_connections >= self._max and self._idle:
                self._drop(self._idle[0])
            if self.open_connections < self._max:
                return await self._open()
            await self._wait_for_turn()

    def release(self, connection: UpstreamConnection) -> None:
        """Take back a connection whose exchange is over. Close it if it cannot be reused."""
        self._busy.discard(connection)
        if connection.is_reusable and not self._is_closed:
            now = asyncio.get_running_loop().time()
            connection.idle_since = now
            self._idle.append(connection)
            if now - self._idle[0].idle_since > LONGEST_IDLE:
                self._drop(self._idle[0])
        else:
            connection.abort()
        self._wake_next()

    def discard(self, connection: UpstreamConnection) -> None:
        """Close a connection whose exchange did not end well."""
        self._busy.discard(connection)
        connection.abort()
        self._wake_next()

    async def aclose(self) -> None:
        """Close idle connections now. Connections in use close when their exchange ends."""
        self._is_closed = True
        for connection in list(self._idle):
            self._drop(connection)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _take_idle(self, longest_idle: float) -> UpstreamConnection | None:
        now = asyncio.get_running_loop().time()
        while self._idle and now - self._idle[-1].idle_since <= longest_idle and longest_idle > 0:
            connection = self._idle.pop()
            if not connection.is_closing:
                self._busy.add(connection)
                return connection
        return None

    async def _open(self) -> UpstreamConnection:
        self._dialling += 1
        try:
            connection = await self._connect(self._on_lost)
        except BaseException:
            self._dialling -= 1
            self._wake_next()
            raise
        self._dialling -= 1
        self._busy.add(connection)
        return connection

    async def _wait_for_turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                self._wake_next()  # It was our turn already: wake the next waiter.
            if isinstance(exc, TimeoutError):
                raise UpstreamFailed("upstream_connect", detail="all connections busy", status=503) from None
            raise
        finally:
            if turn in self._waiters:
                self._waiters.remove(turn)

    def _wake_next(self) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _drop(self, connection: UpstreamConnection) -> None:
        self._idle.remove(connection)
        connection.abort()

    def _on_lost(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            self._wake_next()
