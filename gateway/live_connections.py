"""Open sockets and streams by session: ended within a second of their session, re-decided when its claims change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bff.contract import CloseCode, EndReason
from bff.errors import AuthError
from bff.session import EverythingUnknown, SessionChanged, SessionEvent, SessionsEnded
from bff.settings import RouteSettings

SWEEP_SECONDS = 1.0


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket or stream. `close(code, reason)` ends it at once; streams ignore both values."""

    record_name: str
    owners: frozenset[str]
    login_started_at: float
    route: RouteSettings
    close: Callable[[int, str], None]


IsLive = Callable[[str], Awaitable[bool]]
IsAllowed = Callable[[Connection], Awaitable[bool]]


class LiveConnections:
    """The registry of one worker."""

    def __init__(self, *, is_live: IsLive, is_allowed: IsAllowed) -> None:
        self._by_name: dict[str, set[Connection]] = {}
        self._is_live = is_live
        self._is_allowed = is_allowed
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, connection: Connection) -> None:
        self._by_name.setdefault(connection.record_name, set()).add(connection)

    def discard(self, connection: Connection) -> None:
        connections = self._by_name.get(connection.record_name)
        if connections is not None:
            connections.discard(connection)
            if not connections:
                del self._by_name[connection.record_name]

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
        """Every second, close what belongs to sessions that reached their idle or absolute end."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for name in list(self._by_name):
                await self._check(name)

    def close_all(self, code: int, reason: str) -> None:
        for connections in list(self._by_name.values()):
            for connection in list(connections):
                connection.close(code, reason)

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
        for connection in ended:
            connection.close(int(code), reason.value)

    async def _check(self, name: str) -> bool:
        """Close what belongs to a session that is over; True when it is known to be alive."""
        try:
            alive = await self._is_live(name)
        except AuthError:  # an outage is no end: sockets outlast it for a while
            return False
        if not alive:
            self._end(name, "", 0, EndReason.EXPIRED)
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
                connection.close(int(CloseCode.FORBIDDEN), "forbidden")

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
