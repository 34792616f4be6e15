"""The memory store on a clock that tests move: records end exactly in time, and only live records take memory.

The rules that every store keeps to are `store_contract.py`.
"""

from __future__ import annotations

from typing import Any

import pytest

from bff.contract import EndReason
from bff.stores.events import SessionChanged, SessionEvent, SessionsEnded
from bff.stores.memory import MemoryStore
from bff.stores.protocol import TooMany
from tests.fakes import FakeClock

LIFETIME = 3600.0


async def create(store: MemoryStore, name: str = "r", *, idle: float = 600, **over: Any) -> bool:
    ends = await store.now() + over.pop("lifetime", LIFETIME)
    return await store.create(
        name, b"sealed", owners=over.pop("owners", ()), idle_seconds=idle, absolute_expires_at=ends
    )


def held(store: MemoryStore) -> int:
    """Entries of every kind the store keeps."""
    containers = (store._records, store._owned, store._barriers, store._locks, store._values, store._expiries)
    return sum(len(container) for container in containers)


async def test_a_record_can_be_read_until_the_end_of_its_idle_time(store: MemoryStore, clock: FakeClock) -> None:
    await create(store, idle=600)
    clock.advance(599.9)
    assert await store.load("r") is not None
    clock.advance(0.1)
    assert await store.load("r") is None


async def test_touching_extends_a_record_at_most_to_its_absolute_end(store: MemoryStore, clock: FakeClock) -> None:
    ends = clock() + LIFETIME
    await create(store, idle=600)
    for _ in range(5):
        clock.advance(599)
        assert await store.touch("r", idle_seconds=600, absolute_expires_at=ends) == clock() + 600
    clock.advance(599)
    assert await store.touch("r", idle_seconds=600, absolute_expires_at=ends + 9_999) == ends
    clock.set(ends)
    assert await store.load("r") is None
    assert await store.touch("r", idle_seconds=600, absolute_expires_at=ends + 9_999) is None


async def test_an_earlier_absolute_end_shortens_a_record(store: MemoryStore, clock: FakeClock) -> None:
    await create(store, idle=600)
    assert await store.touch("r", idle_seconds=600, absolute_expires_at=clock() + 60) == clock() + 60
    clock.advance(60)
    assert await store.load("r") is None


async def test_the_name_of_an_ended_record_can_be_used_again(store: MemoryStore, clock: FakeClock) -> None:
    await create(store)
    await store.touch("r", idle_seconds=1, absolute_expires_at=clock() + 10)
    clock.advance(10)
    assert await create(store)
    record = await store.load("r")
    assert record is not None
    assert record.revision == 0


async def test_a_touched_record_is_not_removed_at_its_first_end(store: MemoryStore, clock: FakeClock) -> None:
    await create(store, idle=10, owners=["alice"])
    clock.advance(9)
    await store.touch("r", idle_seconds=10, absolute_expires_at=clock() + LIFETIME)
    clock.advance(2)
    await create(store, "other")
    assert await store.owned_by("alice") == ["r"]
    clock.advance(8)
    await create(store, "another")
    assert await store.owned_by("alice") == []


async def test_a_barrier_lasts_its_seconds_and_a_later_one_renews_it(store: MemoryStore, clock: FakeClock) -> None:
    first = await store.set_barrier("alice", seconds=100)
    clock.advance(60)
    second = await store.set_barrier("alice", seconds=100)
    assert second == first + 60
    clock.advance(60)
    await store.set_barrier("bob", seconds=1)
    assert await store.barriers(["alice"]) == second
    clock.advance(40)
    assert await store.barriers(["alice"]) == 0


async def test_a_lock_is_released_at_its_end(store: MemoryStore, clock: FakeClock) -> None:
    assert await store.lock("l", "a", seconds=10)
    clock.advance(9.9)
    assert not await store.lock("l", "b", seconds=10)
    clock.advance(0.1)
    assert await store.lock("l", "b", seconds=10)


async def test_a_value_can_be_read_until_the_end_of_its_time(store: MemoryStore, clock: FakeClock) -> None:
    for name in ("peeked", "taken"):
        await store.put_once("k", name, b"v", seconds=10, cap=5)
    clock.advance(9.9)
    assert await store.peek("k", "peeked") == b"v"
    clock.advance(0.1)
    assert await store.peek("k", "peeked") is None
    assert await store.take_once("k", "taken") is None


async def test_a_value_that_is_written_again_is_kept_after_the_end_of_the_first(
    store: MemoryStore, clock: FakeClock
) -> None:
    await store.put_once("k", "n", b"1", seconds=10, cap=1)
    await store.take_once("k", "n")
    await store.put_once("k", "n", b"2", seconds=100, cap=1)
    clock.advance(50)
    with pytest.raises(TooMany):
        await store.put_once("k", "other", b"", seconds=1, cap=1)
    assert await store.peek("k", "n") == b"2"


async def test_ended_records_do_not_stay_in_memory(store: MemoryStore, clock: FakeClock) -> None:
    """A thousand sign-ins from a thousand addresses, sessions of a thousand people: nothing is left of them."""
    for number in range(1000):
        await store.put_once(f"login-from:{number}", "n", b"", seconds=10, cap=1)
        await store.put_once("login", str(number), b"v", seconds=10, cap=2000)
        if number % 2:
            await store.take_once(f"login-from:{number}", "n")
        await create(store, str(number), idle=20, owners=[f"owner-{number}"])
        await store.set_barrier(f"owner-{number}", seconds=20)
        await store.lock(f"lock-{number}", "a", seconds=10)
    clock.advance(9)
    for number in range(0, 1000, 2):
        await store.lock(f"lock-{number}", "a", seconds=10)
    clock.advance(2)
    assert await store.lock("lock-0", "b", seconds=1) is False
    assert await store.lock("lock-1", "b", seconds=1) is True
    clock.advance(21)
    await store.set_barrier("last", seconds=1)
    assert held(store) == 2


async def test_deleting_forgets_owners_too(store: MemoryStore) -> None:
    await create(store, "a", owners=["alice", "corp"])
    await create(store, "b", owners=["alice"])
    await store.delete("a")
    assert store._owned == {"alice": {"b"}}


async def test_listeners_get_events_in_order_until_they_leave_or_the_store_closes(store: MemoryStore) -> None:
    told: list[tuple[str, SessionEvent]] = []
    leave = store.subscribe(lambda event: told.append(("one", event)))
    store.subscribe(lambda event: told.append(("two", event)))
    changed, ended = SessionChanged("r"), SessionsEnded(EndReason.LOGOUT, name="r")
    await store.publish(changed)
    leave()
    await store.publish(ended)
    await store.aclose()
    await store.publish(changed)
    assert told == [("one", changed), ("two", changed), ("two", ended)]


async def test_a_listener_can_leave_while_it_gets_an_event(store: MemoryStore) -> None:
    told: list[SessionEvent] = []

    def once(event: SessionEvent) -> None:
        told.append(event)
        leave()

    leave = store.subscribe(once)
    for _ in range(2):
        await store.publish(SessionChanged("r"))
    assert told == [SessionChanged("r")]


async def test_the_memory_store_always_hears_events_and_answers(store: MemoryStore, clock: FakeClock) -> None:
    assert store.is_hearing
    assert await store.now() == clock()
    await store.ping()
