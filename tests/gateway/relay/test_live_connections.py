"""Open connections during a store outage: they stay open for a while, then those whose session is unknown close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bff.contract import CloseCode
from bff.errors import StoreUnavailable
from bff.settings.tables import RouteSettings
from gateway.relay.live_connections import Connection, LiveConnections
from tests.bff.stores.store_contract import until
from tests.fakes import FakeClock

OUTAGE_SECONDS = 60
ROUTE = RouteSettings(id="page", path="/", upstream=("http://127.0.0.1:1",))
UNAVAILABLE = (int(CloseCode.UNAVAILABLE), "unavailable")
EXPIRED = (int(CloseCode.SESSION_ENDED), "expired")


@dataclass(eq=False)
class Bench:
    """Connections of two sessions, `one` and `two`; the store says of each what the test says."""

    clock: FakeClock
    out: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    closed: list[tuple[str, tuple[int, str]]] = field(default_factory=list)
    sweeps: int = 0

    def open(self, connections: LiveConnections, name: str) -> None:
        def close(code: int, reason: str) -> None:
            self.closed.append((name, (code, reason)))
            connections.discard(connection)

        connection = Connection(name, frozenset(), 0, ROUTE, close)
        connections.add(connection)

    async def is_live(self, connection: Connection) -> bool:
        self.sweeps += 1
        if connection.record_name in self.out:
            raise StoreUnavailable
        return connection.record_name not in self.over

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        async def is_allowed(_: Connection) -> bool:
            return True

        connections = LiveConnections(
            is_live=self.is_live, is_allowed=is_allowed, outage_seconds=OUTAGE_SECONDS, monotonic=self.clock
        )
        for name in ("one", "two"):
            self.open(connections, name)
        task = asyncio.create_task(connections.sweep_for_ever())
        try:
            yield
        finally:
            task.cancel()

    async def after(self, seconds: float) -> list[tuple[str, tuple[int, str]]]:
        """What has been closed when the clock has moved on and several sweeps have seen it."""
        self.clock.advance(seconds)
        before = self.sweeps
        await until(lambda: self.sweeps >= before + 6 or len(self.closed) == 2)
        await asyncio.sleep(0.01)
        return sorted(self.closed)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("gateway.relay.live_connections.SWEEP_SECONDS", 0.001)
    return Bench(FakeClock())


async def test_a_store_outage_does_not_close_open_connections(bench: Bench) -> None:
    async with bench.sweeping():
        bench.out = {"one", "two"}
        assert await bench.after(OUTAGE_SECONDS - 1) == []


async def test_a_long_store_outage_closes_open_connections(bench: Bench) -> None:
    async with bench.sweeping():
        bench.out = {"one", "two"}
        assert await bench.after(OUTAGE_SECONDS + 1) == [("one", UNAVAILABLE), ("two", UNAVAILABLE)]


async def test_the_time_of_each_outage_is_counted_from_its_own_start(bench: Bench) -> None:
    async with bench.sweeping():
        for _ in range(3):
            bench.out = {"one", "two"}
            assert await bench.after(OUTAGE_SECONDS - 1) == []
            bench.out = set()
            assert await bench.after(0) == []


async def test_an_outage_of_one_part_of_the_store_affects_only_the_sessions_in_it(bench: Bench) -> None:
    """A cluster that lost one node: the other sessions are checked as usual, and their ends are noticed."""
    async with bench.sweeping():
        bench.out = {"one"}
        for _ in range(3):
            assert await bench.after(OUTAGE_SECONDS / 4) == []
        assert await bench.after(OUTAGE_SECONDS / 2) == [("one", UNAVAILABLE)]
        bench.over = {"two"}
        assert await bench.after(0) == [("one", UNAVAILABLE), ("two", EXPIRED)]
