"""One event for each session, whichever process notices it first."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog

from bff.audit import Audit
from bff.errors import StoreUnavailable
from bff.sessions.omissions import Omissions
from bff.stores.memory import MemoryStore
from tests.bff.factories import NOW, session
from tests.fakes import FakeClock


class SilentStore(MemoryStore):
    """A store that does not answer."""

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        raise StoreUnavailable


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def noted(events: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [(event["reason"], event["route"]) for event in events if event["event"] == "identity_omitted"]


async def test_two_processes_with_one_store_leave_one_omission_event_for_a_session(clock: FakeClock) -> None:
    store = MemoryStore(clock=clock)
    first, second = (Omissions(store, Audit(), clock=clock) for _ in range(2))
    with structlog.testing.capture_logs() as events:
        for process in (first, second, first):
            await process.note(session(), ["groups", "roles"], route="api")
        await second.note(session(name="f" * 64), ["groups"], route="pages")
    assert noted(events) == [("groups,roles", "api"), ("groups", "pages")]


async def test_without_the_store_each_process_leaves_its_own_event_and_no_request_fails(clock: FakeClock) -> None:
    processes = [Omissions(SilentStore(clock=clock), Audit(), clock=clock) for _ in range(2)]
    with structlog.testing.capture_logs() as events:
        for process in [*processes, *processes]:
            await process.note(session(), ["groups"], route="api")
    assert len(noted(events)) == 2


async def test_the_number_of_remembered_omissions_is_limited(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bff.sessions.omissions.MAX_REMEMBERED", 3)
    omissions = Omissions(MemoryStore(clock=clock), Audit(), clock=clock)
    for number in range(9):
        await omissions.note(session(name=f"{number:064}"), ["groups"], route="api")
    assert len(omissions._known) == 3
