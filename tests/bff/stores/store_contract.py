"""The rules for every store, on its real clock: subclass `StoreContract` and give it a `store` fixture.

Each test uses its own names, so tests may share a store.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import pytest

from bff.contract import EndReason
from bff.stores.events import EverythingUnknown, SessionChanged, SessionEvent, SessionsEnded
from bff.stores.protocol import Store, TooMany

SHORT = 0.2
HOUR = 3600.0


def fresh(label: str = "record") -> str:
    return f"{label}-{secrets.token_hex(16)}"


async def created(store: Store, *owners: str, idle: float = HOUR, lifetime: float = HOUR) -> str:
    name = fresh()
    ends = await store.now() + lifetime
    assert await store.create(name, b"sealed-0", owners=owners, idle_seconds=idle, absolute_expires_at=ends)
    return name


async def until(is_so: Callable[[], bool]) -> None:
    """Return as soon as `is_so` is true. Fail if it is not true within eight seconds."""
    for _ in range(800):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within eight seconds")


async def heard(events: list[SessionEvent], wanted: SessionEvent) -> None:
    await until(lambda: wanted in events)


class StoreContract:
    """The rules of `bff.sessions.record.Store`."""

    # -- records -----------------------------------------------------------------------------------------------------

    async def test_a_new_record_is_at_revision_zero_and_idles_from_now(self, store: Store) -> None:
        now = await store.now()
        record = await store.load(await created(store, idle=600))
        assert record is not None
        assert (record.sealed, record.revision) == (b"sealed-0", 0)
        assert record.idle_expires_at == pytest.approx(now + 600, abs=1)

    async def test_any_bytes_are_read_back_unchanged(self, store: Store) -> None:
        name, sealed = fresh(), bytes(range(256)) * 20
        ends = await store.now() + HOUR
        assert await store.create(name, sealed, owners=[], idle_seconds=60, absolute_expires_at=ends)
        record = await store.load(name)
        assert record is not None
        assert record.sealed == sealed

    async def test_a_name_in_use_is_not_written_again(self, store: Store) -> None:
        name = await created(store)
        ends = await store.now() + HOUR
        for sealed in (b"other", b"sealed-0"):
            assert not await store.create(name, sealed, owners=[], idle_seconds=60, absolute_expires_at=ends)
        record = await store.load(name)
        assert record is not None
        assert record.sealed == b"sealed-0"

    async def test_only_one_of_many_creators_of_a_name_succeeds(self, store: Store) -> None:
        name, ends = fresh(), await store.now() + HOUR
        outcomes = await asyncio.gather(
            *(store.create(name, b"%d" % n, owners=[], idle_seconds=60, absolute_expires_at=ends) for n in range(20))
        )
        assert outcomes.count(True) == 1

    async def test_an_unknown_name_has_no_record(self, store: Store) -> None:
        name, ends = fresh(), await store.now() + HOUR
        assert await store.load(name) is None
        assert not await store.replace(name, b"x", revision=0)
        assert await store.touch(name, idle_seconds=60, absolute_expires_at=ends) is None
        assert not await store.delete(name)
        assert await store.load(name) is None, "nothing of this may create it"

    async def test_replacing_a_record_raises_the_revision_and_keeps_the_idle_time(self, store: Store) -> None:
        name = await created(store, idle=600)
        before = await store.load(name)
        await asyncio.sleep(0.05)
        assert await store.replace(name, b"sealed-1", revision=0)
        after = await store.load(name)
        assert before is not None
        assert after is not None
        assert (after.sealed, after.revision) == (b"sealed-1", 1)
        assert after.idle_expires_at == pytest.approx(before.idle_expires_at, abs=0.01)

    async def test_replacing_a_record_needs_the_current_revision(self, store: Store) -> None:
        name = await created(store)
        assert not await store.replace(name, b"x", revision=1)
        assert await store.replace(name, b"sealed-1", revision=0)
        assert not await store.replace(name, b"sealed-1", revision=0)

    async def test_only_one_of_many_replacers_of_a_revision_succeeds(self, store: Store) -> None:
        name = await created(store)
        outcomes = await asyncio.gather(*(store.replace(name, b"%d" % n, revision=0) for n in range(20)))
        assert outcomes.count(True) == 1
        record = await store.load(name)
        assert record is not None
        assert (record.sealed, record.revision) == (b"%d" % outcomes.index(True), 1)

    async def test_a_deleted_record_does_not_come_back(self, store: Store) -> None:
        name, ends = await created(store), await store.now() + HOUR
        assert await store.delete(name)
        assert not await store.delete(name)
        assert not await store.replace(name, b"x", revision=0)
        assert await store.touch(name, idle_seconds=60, absolute_expires_at=ends) is None
        assert await store.load(name) is None

    # -- idle and absolute end ---------------------------------------------------------------------------------------

    async def test_a_record_is_gone_after_its_idle_time(self, store: Store) -> None:
        name = await created(store, idle=SHORT)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.load(name) is None
        assert not await store.replace(name, b"x", revision=0)

    async def test_touching_extends_the_idle_time(self, store: Store) -> None:
        name, now = await created(store, idle=SHORT), await store.now()
        ends = await store.touch(name, idle_seconds=600, absolute_expires_at=now + HOUR)
        assert ends == pytest.approx(now + 600, abs=1)
        await asyncio.sleep(SHORT + 0.05)
        record = await store.load(name)
        assert record is not None
        assert record.idle_expires_at == pytest.approx(ends, abs=0.01)

    async def test_touching_never_shortens_the_idle_time(self, store: Store) -> None:
        name, now = await created(store, idle=600), await store.now()
        ends = await store.touch(name, idle_seconds=1, absolute_expires_at=now + HOUR)
        assert ends == pytest.approx(now + 600, abs=1)

    async def test_touching_stops_at_the_absolute_end(self, store: Store) -> None:
        name, now = await created(store, idle=SHORT, lifetime=2 * SHORT), await store.now()
        ends = await store.touch(name, idle_seconds=600, absolute_expires_at=now + HOUR)
        assert ends == pytest.approx(now + 2 * SHORT, abs=0.1)
        await asyncio.sleep(2 * SHORT + 0.05)
        assert await store.load(name) is None

    async def test_a_record_does_not_idle_beyond_its_absolute_end(self, store: Store) -> None:
        name, now = await created(store, idle=600, lifetime=SHORT), await store.now()
        record = await store.load(name)
        assert record is not None
        assert record.idle_expires_at <= now + SHORT + 0.05
        await asyncio.sleep(SHORT + 0.05)
        assert await store.load(name) is None

    # -- owners and barriers -----------------------------------------------------------------------------------------

    async def test_live_records_are_listed_under_their_owners(self, store: Store) -> None:
        one, other = fresh("owner"), fresh("owner")
        names = [await created(store, one, other), await created(store, one), await created(store, other)]
        assert set(await store.owned_by(one)) == {names[0], names[1]}
        assert set(await store.owned_by(other)) == {names[0], names[2]}
        assert await store.owned_by(fresh("owner")) == []

    async def test_ended_records_are_not_listed(self, store: Store) -> None:
        owner = fresh("owner")
        kept, idle, deleted = (
            await created(store, owner),
            await created(store, owner, idle=SHORT),
            await created(store, owner),
        )
        await created(store, owner, lifetime=SHORT)
        await store.delete(deleted)
        await asyncio.sleep(SHORT + 0.05)
        for _ in range(2):
            assert await store.owned_by(owner) == [kept]
        assert await store.load(idle) is None

    async def test_a_barrier_has_the_time_of_the_store(self, store: Store) -> None:
        owner, before = fresh("owner"), await store.now()
        at = await store.set_barrier(owner, seconds=60)
        assert before <= at <= await store.now()
        assert await store.barriers([fresh("owner"), owner]) == at

    async def test_the_latest_of_several_barriers_counts(self, store: Store) -> None:
        owners = [fresh("owner"), fresh("owner")]
        first = await store.set_barrier(owners[0], seconds=60)
        await asyncio.sleep(0.01)
        second = await store.set_barrier(owners[1], seconds=60)
        assert second > first
        assert await store.barriers(owners) == await store.barriers(owners[::-1]) == second
        assert await store.barriers([]) == await store.barriers([fresh("owner")]) == 0

    async def test_a_sign_in_that_starts_after_a_barrier_is_later_than_it(self, store: Store) -> None:
        owner = fresh("owner")
        await store.set_barrier(owner, seconds=60)
        await asyncio.sleep(0.002)
        assert await store.barriers([owner]) < await store.now()

    async def test_a_barrier_ends_when_no_session_can_be_older_than_it(self, store: Store) -> None:
        owner = fresh("owner")
        await store.set_barrier(owner, seconds=SHORT)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.barriers([owner]) == 0

    # -- locks -------------------------------------------------------------------------------------------------------

    async def test_a_lock_has_one_holder_who_may_extend_it(self, store: Store) -> None:
        lock = fresh("lock")
        assert await store.lock(lock, "a", seconds=SHORT)
        assert not await store.lock(lock, "b", seconds=60)
        assert await store.lock(lock, "a", seconds=60)
        await asyncio.sleep(SHORT + 0.05)
        assert not await store.lock(lock, "b", seconds=60), "it was extended"

    async def test_only_its_holder_can_release_a_lock(self, store: Store) -> None:
        lock = fresh("lock")
        assert await store.lock(lock, "a", seconds=60)
        await store.unlock(lock, "b")
        assert not await store.lock(lock, "b", seconds=60)
        await store.unlock(lock, "a")
        assert await store.lock(lock, "b", seconds=60)

    async def test_a_lock_whose_holder_is_gone_is_released(self, store: Store) -> None:
        lock = fresh("lock")
        assert await store.lock(lock, "a", seconds=SHORT)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.lock(lock, "b", seconds=60)
        await store.unlock(lock, "a")
        assert not await store.lock(lock, "c", seconds=60)

    async def test_only_one_of_many_gets_a_lock(self, store: Store) -> None:
        lock = fresh("lock")
        outcomes = await asyncio.gather(*(store.lock(lock, str(n), seconds=60) for n in range(20)))
        assert outcomes.count(True) == 1

    async def test_the_store_tells_whether_a_lock_is_held(self, store: Store) -> None:
        lock = fresh("lock")
        assert await store.holder_of(lock) is None
        assert await store.lock(lock, "a", seconds=SHORT)
        assert await store.holder_of(lock) == "a"
        assert not await store.lock(lock, "b", seconds=60)
        assert await store.holder_of(lock) == "a", "asking for a lock in vain changes nothing"
        assert await store.lock(lock, "a", seconds=2 * SHORT)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.holder_of(lock) == "a", "it was extended"
        await asyncio.sleep(SHORT)
        assert await store.holder_of(lock) is None, "its time is over"
        assert await store.lock(lock, "b", seconds=60)
        await store.unlock(lock, "b")
        assert await store.holder_of(lock) is None, "it was given up"

    # -- short-lived values ------------------------------------------------------------------------------------------

    async def test_a_value_can_be_taken_once(self, store: Store) -> None:
        kind, name = fresh("kind"), fresh("value")
        for value in (bytes(range(256)), b""):
            assert await store.put_once(kind, name, value, seconds=60, cap=10)
            assert await store.take_once(fresh("kind"), name) is None
            assert await store.take_once(kind, name) == value
            assert await store.take_once(kind, name) is None

    async def test_only_one_of_many_takers_gets_the_value(self, store: Store) -> None:
        kind, name = fresh("kind"), fresh("value")
        await store.put_once(kind, name, b"v", seconds=60, cap=10)
        taken = await asyncio.gather(*(store.take_once(kind, name) for _ in range(100)))
        assert sorted(value for value in taken if value is not None) == [b"v"]

    async def test_the_name_of_a_value_cannot_be_used_again_until_it_expires(self, store: Store) -> None:
        kind, name = fresh("kind"), fresh("value")
        assert await store.put_once(kind, name, b"1", seconds=SHORT, cap=10)
        for value in (b"2", b"1"):
            assert not await store.put_once(kind, name, value, seconds=60, cap=10)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.take_once(kind, name) is None
        assert await store.put_once(kind, name, b"3", seconds=60, cap=10)
        assert await store.take_once(kind, name) == b"3"

    async def test_the_number_of_values_of_a_kind_is_limited(self, store: Store) -> None:
        kind, names = fresh("kind"), [fresh("value") for _ in range(4)]
        for name in names[:3]:
            assert await store.put_once(kind, name, b"v", seconds=60, cap=3)
        with pytest.raises(TooMany):
            await store.put_once(kind, names[3], b"v", seconds=60, cap=3)
        assert await store.put_once(fresh("kind"), names[3], b"v", seconds=60, cap=3), "another kind has its own cap"
        assert await store.take_once(kind, names[0]) == b"v"
        assert await store.put_once(kind, names[3], b"v", seconds=60, cap=3)

    async def test_an_expired_value_gives_its_place_back(self, store: Store) -> None:
        kind = fresh("kind")
        assert await store.put_once(kind, fresh("value"), b"v", seconds=SHORT, cap=1)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.put_once(kind, fresh("value"), b"v", seconds=60, cap=1)

    async def test_the_limit_of_values_holds_for_parallel_writers(self, store: Store) -> None:
        kind = fresh("kind")
        outcomes = await asyncio.gather(
            *(store.put_once(kind, fresh("value"), b"v", seconds=60, cap=5) for _ in range(40)), return_exceptions=True
        )
        assert outcomes.count(True) == 5
        assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 35

    async def test_a_kept_value_replaces_the_older_one_and_can_be_read_without_taking_it(self, store: Store) -> None:
        kind, name = fresh("kind"), fresh("value")
        assert await store.peek(kind, name) is None
        await store.keep(kind, name, b"1", seconds=SHORT, cap=1)
        await store.keep(kind, name, b"", seconds=60, cap=1)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.peek(kind, name) == await store.peek(kind, name) == b""
        with pytest.raises(TooMany):
            await store.keep(kind, fresh("value"), b"3", seconds=60, cap=1)
        assert await store.take_once(kind, name) == b""

    async def test_a_value_with_a_shorter_life_gives_its_place_back_sooner(self, store: Store) -> None:
        kind, name = fresh("kind"), fresh("value")
        await store.keep(kind, name, b"1", seconds=60, cap=1)
        await store.keep(kind, name, b"2", seconds=SHORT, cap=1)
        await asyncio.sleep(SHORT + 0.05)
        assert await store.peek(kind, name) is None
        await store.keep(kind, fresh("value"), b"3", seconds=60, cap=1)

    # -- events ------------------------------------------------------------------------------------------------------

    async def test_every_listener_is_told_every_event_once(self, store: Store) -> None:
        one: list[SessionEvent] = []
        other: list[SessionEvent] = []
        store.subscribe(one.append)
        store.subscribe(other.append)
        events: list[SessionEvent] = [
            SessionsEnded(EndReason.LOGOUT, name=fresh()),
            SessionsEnded(EndReason.REVOKED, owner=fresh("owner"), at=1234.5),
            SessionChanged(fresh()),
        ]
        for event in events:
            await store.publish(event)
            await heard(one, event)
            await heard(other, event)
        await asyncio.sleep(0.1)
        for told in (one, other):
            assert [event for event in told if event != EverythingUnknown()] == events

    async def test_an_unsubscribed_listener_is_told_nothing(self, store: Store) -> None:
        told: list[SessionEvent] = []
        unsubscribe = store.subscribe(told.append)
        unsubscribe()
        unsubscribe()
        await store.publish(SessionChanged(fresh()))
        await asyncio.sleep(0.1)
        assert told == []

    async def test_the_store_hears_events_soon_after_a_listener_is_added(self, store: Store) -> None:
        store.subscribe(lambda event: None)
        await until(lambda: store.is_hearing)

    async def test_the_store_answers_a_ping(self, store: Store) -> None:
        await store.ping()
