"""Open sockets and streams by session: ended within a second of their session, re-decided when its claims change.

A machine's own bearer has no session: what it opened ends when its token does, or with its owner.

While the store does not answer nobody can tell whether a session still lives. What is open then stays open for a while
(`store.outage_seconds`), so that a failover disturbs nobody; after that it is closed with 1013: try again later.
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
"""After which a sweep pauses: when the store is out, asking for each session would take a time-out each."""


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket or stream. `close(code, reason)` ends it at once; streams ignore both values.

    `machine` is the caller that brought a bearer of its own: `record_name` then names that token, not a record.
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
    """The registry of one worker. `outage_seconds` is how long connections outlast a store that does not answer."""

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
        """When each session with a connection was last known to be alive."""
        self._is_live = is_live
        self._is_allowed = is_allowed
        self._outage_seconds = outage_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Connection) -> None:
        """Keep hold of a connection whose session has just been found alive."""
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
        """Every second, close what belongs to sessions that reached their idle or absolute end, and to tokens."""
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
            self._by_name.move_to_end(name)  # what this sweep does not come to, the next begins with
            failures = 0 if await self._check(name) is not None else failures + 1
            if failures:
                self._close_unknown()
            if failures == FAILURES_IN_A_ROW:
                return

    def _close_expired_machines(self) -> None:
        """Close what tokens opened whose time is over; no store need be asked for that."""
        now = self._clock()
        for connections in list(self._by_name.values()):
            expired = [one for one in connections if one.machine and one.machine.session.absolute_expires_at <= now]
            self._close(expired, CloseCode.SESSION_ENDED, EndReason.EXPIRED.value)

    def _close_unknown(self) -> None:
        """Close what belongs to sessions of which nothing has been known for too long."""
        latest = self._monotonic() - self._outage_seconds
        for name in [name for name, known_at in self._known_at.items() if known_at < latest]:
            self._close(self._by_name[name], CloseCode.UNAVAILABLE, "unavailable")

    async def _check(self, name: str) -> bool | None:
        """True for a session that is alive; False for one that is over, whose connections are closed; None: unknown."""
        connection = next(iter(self._by_name.get(name, ())), None)
        if connection is None:
            return False
        try:
            alive = await self._is_live(connection)
        except AuthError:  # an outage is no end: connections outlast it for a while
            return None
        if not alive:
            self._end(name, "", 0, EndReason.EXPIRED)
        elif name in self._known_at:
            self._known_at[name] = self._monotonic()
        return alive

    async def _check_everything(self) -> None:
        """Read every session with an open socket or stream anew: what happened to it meanwhile nobody told."""
        for name in list(self._by_name):
            if await self._check(name):
                await self._decide_again(name)

    async def _decide_again(self, name: str) -> None:
        for connection in list(self._by_name.get(name, ())):
            try:
                allowed = await self._is_allowed(connection)
            except AuthError:  # decided again as soon as the store is back, when everything counts as unknown
                return
            if not allowed:
                self._close([connection], CloseCode.FORBIDDEN, "forbidden")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
