"""Open sockets and streams by session. They end within a second after their session; new claims are checked again.

A machine with its own bearer token has no session: its connections end with the token, or when its owner is signed out.

While the store does not answer, nobody knows whether a session is still alive. Open connections then stay open for a
while (`store.outage_seconds`), so that a failover disturbs nobody. After that they are closed with 1013: try again
later.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from bff.contract import CloseCode, EndReason
from bff.errors import AuthError
from bff.settings.tables import RouteSettings
from bff.stores.events import EverythingUnknown, SessionChanged, SessionEvent, SessionsEnded
from gateway.access.session_cache import LiveSession

SWEEP_SECONDS = 1.0
OUTAGE_SECONDS = 60.0
FAILURES_IN_A_ROW = 3
"""A sweep pauses after this long: during an outage of the store each session would cost one time-out."""


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket or stream. `close(code, reason)` ends it at once; a stream ignores both values.

    `machine` is a caller with its own bearer token. `record_name` then names that token, not a record.
    """

    record_name: str
    owners: frozenset[str]
    login_started_at: float
    route: RouteSettings
    close: Callable[[int, str], None]
    machine: LiveSession | None = None


IsLive = Callable[[Connection], Awaitable[bool]]
IsAllowed = Callable[[Connection], Awaitable[bool]]


class LiveConnections:
    """The registry of one worker. During an outage of the store, connections stay open for `outage_seconds`."""

    def __init__(
        self,
        *,
        is_live: IsLive,
        is_allowed: IsAllowed,
        outage_seconds: float = OUTAGE_SECONDS,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._by_name: OrderedDict[str, set[Connection]] = OrderedDict()
        self._known_at: dict[str, float] = {}
        """For each session with a connection: when it was last known to be alive."""
        self._is_live = is_live
        self._is_allowed = is_allowed
        self._outage_seconds = outage_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Connection) -> None:
        """Register a connection. Its session has just been found alive."""
        self._by_name.setdefault(connection.record_name, set()).add(connection)
        self._known_at[connection.record_name] = self._monotonic()

    def discard(self, connection: Connection) -> None:
        connections = self._by_name.get(connection.record_name)
        if connections is not None:
            connections.discard(connection)
            if not connections:
                del self._by_name[connection.record_name]
                del self._known_at[connection.record_name]

    def count(self, record_name: str) -> int:
        return len(self._by_name.get(record_name, ()))

    def on_event(self, event: SessionEvent) -> None:
        match event:
            case SessionsEnded(reason, name, owner, at):
                self._end(name, owner, at, reason)
            case SessionChanged(name):
                if name in self._by_name:
                    self._spawn(self._decide_again(name))
            case EverythingUnknown():
                self._spawn(self._check_everything())

    async def sweep_for_ever(self) -> None:
        """Every second, close the connections of sessions and tokens that have come to their end."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self._sweep()

    def close_all(self, code: int, reason: str) -> None:
        for connections in list(self._by_name.values()):
            self._close(connections, code, reason)

    async def aclose(self) -> None:
        """Stop the checks under way; returns when they have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, name: str, owner: str, at: float, reason: EndReason) -> None:
        ended = list(self._by_name.get(name, ()))
        if owner:
            ended += [
                connection
                for connections in self._by_name.values()
                for connection in connections
                if owner in connection.owners and connection.login_started_at <= at
            ]
        superseded = reason is EndReason.SUPERSEDED
        code = CloseCode.SUPERSEDED if superseded else CloseCode.SESSION_ENDED
        self._close(ended, code, reason.value)

    @staticmethod
    def _close(connections: Iterable[Connection], code: int, reason: str) -> None:
        for connection in list(connections):
            connection.close(int(code), reason)

    async def _sweep(self) -> None:
        self._close_expired_machines()
        failures = 0
        for name in list(self._by_name):
            if name not in self._by_name:
                continue
            self._by_name.move_to_end(name)  # the next sweep begins with what this one does not reach
            failures = 0 if await self._check(name) is not None else failures + 1
            if failures:
                self._close_unknown()
            if failures == FAILURES_IN_A_ROW:
                return

    def _close_expired_machines(self) -> None:
        """Close the connections of expired tokens. This needs no store."""
        now = self._clock()
        for connections in list(self._by_name.values()):
            expired = [one for one in connections if one.machine and one.machine.session.absolute_expires_at <= now]
            self._close(expired, CloseCode.SESSION_ENDED, EndReason.EXPIRED.value)

    def _close_unknown(self) -> None:
        """Close the connections of sessions whose state has been unknown for too long."""
        latest = self._monotonic() - self._outage_seconds
        for name in [name for name, known_at in self._known_at.items() if known_at < latest]:
            self._close(self._by_name[name], CloseCode.UNAVAILABLE, "unavailable")

    async def _check(self, name: str) -> bool | None:
        """Return True for a session that is alive, None if nobody knows. False if it is over; its connections are
        closed.
        """
        connection = next(iter(self._by_name.get(name, ())), None)
        if connection is None:
            return False
        try:
            alive = await self._is_live(connection)
        except AuthError:  # an outage does not end a session: connections stay open for a while
            return None
        if not alive:
            self._end(name, "", 0, EndReason.EXPIRED)
        elif name in self._known_at:
            self._known_at[name] = self._monotonic()
        return alive

    async def _check_everything(self) -> None:
        """Read every session with an open socket or stream again: events about it may have been lost."""
        for name in list(self._by_name):
            if await self._check(name):
                await self._decide_again(name)

    async def _decide_again(self, name: str) -> None:
        for connection in list(self._by_name.get(name, ())):
            try:
                allowed = await self._is_allowed(connection)
            except AuthError:  # the decision follows when the store is back: everything counts as unknown then
                return
            if not allowed:
                self._close([connection], CloseCode.FORBIDDEN, "forbidden")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
