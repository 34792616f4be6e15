"""Sessions: each gets a new id, an ended one stays ended, and an end wins over running changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bff.contract import EndReason
from bff.sessions.keyring import record_name
from bff.sessions.lifecycle import Opened, Sessions
from bff.sessions.record import Session
from bff.stores.events import SessionChanged, SessionEvent, SessionsEnded
from bff.stores.memory import MemoryStore
from tests.bff.factories import ALICE, ISSUER, KEY, OLD_KEY, keyring, opening, resume, session_settings, tokens
from tests.fakes import FakeClock

BOB = replace(ALICE, sub="bob")
COUSIN = replace(ALICE, iss="https://other.example.com")


async def sign_in(sessions: Sessions, clock: FakeClock, **over: Any) -> Opened:
    opened = await sessions.open(opening(clock, **over))
    assert opened is not None
    clock.advance(0.001)
    return opened


class TestOpening:
    async def test_opening_a_session_gives_a_cookie_that_resumes_it(self, sessions: Sessions, clock: FakeClock) -> None:
        start = clock()
        opened = await sign_in(sessions, clock, device="Firefox on Linux")
        resumed = await resume(sessions, opened.cookie)
        assert resumed == opened.session
        assert (resumed.absolute_expires_at, resumed.idle_expires_at) == (start + 3600, start + 600)
        assert resumed.identity.expires_at == int(start + 3600)
        assert (resumed.revision, resumed.device, resumed.tokens.access_token) == (0, "Firefox on Linux", "access-1")

    async def test_each_opened_session_has_a_new_id(self, sessions: Sessions, clock: FakeClock) -> None:
        opened = [await sign_in(sessions, clock) for _ in range(50)]
        assert len({one.cookie for one in opened}) == len({one.session.name for one in opened}) == 50

    async def test_the_store_contains_nothing_that_opens_a_session(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock)
        dump = repr(store._records)
        session_id = opened.cookie.partition(".")[0]
        for secret in (session_id, "access-1", "refresh-1", "alice", "sid-1"):
            assert secret not in dump
        (name,) = store._records
        assert name == opened.session.name == record_name(session_id)
        assert await resume(sessions, name) is None

    async def test_opening_a_session_ends_the_one_it_replaces(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        old = await sign_in(sessions, clock)
        await sign_in(sessions, clock, replaces=old.session.name)
        assert await resume(sessions, old.cookie) is None
        assert events == [SessionsEnded(EndReason.SUPERSEDED, name=old.session.name)]

    @pytest.mark.parametrize("identity", [BOB, COUSIN])
    async def test_opening_a_session_of_another_person_signs_the_old_person_out(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent], identity: Any
    ) -> None:
        old = await sign_in(sessions, clock)
        new = await sign_in(sessions, clock, identity=identity, replaces=old.session.name)
        assert await resume(sessions, old.cookie) is None
        assert await resume(sessions, new.cookie) is not None
        assert events == [SessionsEnded(EndReason.LOGOUT, name=old.session.name)]

    async def test_replacing_a_session_that_no_longer_exists_does_no_harm(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        new = await sign_in(sessions, clock, replaces="ab" * 32)
        assert await resume(sessions, new.cookie) is not None

    async def test_opening_a_session_never_takes_over_an_existing_record(
        self, store: MemoryStore, clock: FakeClock
    ) -> None:
        """A random source that repeats itself must not hand one person's session to another."""
        stuck = Sessions(store, keyring(), session_settings(), random=bytes)
        first = await stuck.open(opening(clock))
        assert first is not None
        assert await stuck.open(opening(clock, identity=BOB)) is None
        remaining = await resume(stuck, first.cookie)
        assert remaining is None or remaining.identity.sub == "alice"


class TestCookies:
    async def test_names_of_right_cookies_alone_are_remembered_and_not_without_end(
        self, sessions: Sessions, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bff.sessions.lifecycle.MOST_NAMES", 3)
        opened = [await sign_in(sessions, clock) for _ in range(10)]
        for _ in range(2):
            assert [sessions.name_of(one.cookie) for one in opened] == [one.session.name for one in opened]
        for one in opened:
            assert sessions.name_of(one.cookie[:-1]) is None
            assert sessions.name_of(one.cookie + "x") is None
        assert len(sessions._names) == 3

    @pytest.mark.parametrize(
        "change",
        [lambda c: c[:-2] + "AA", lambda c: c.partition(".")[0], lambda c: "", str.upper],
        ids=["another end", "no signature", "empty", "upper case"],
    )
    async def test_a_changed_cookie_resumes_no_session(self, sessions: Sessions, clock: FakeClock, change: Any) -> None:
        opened = await sign_in(sessions, clock)
        assert sessions.name_of(change(opened.cookie)) is None
        assert await resume(sessions, change(opened.cookie)) is None

    async def test_a_cookie_signed_for_another_purpose_resumes_no_session(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        session_id = (await sign_in(sessions, clock)).cookie.partition(".")[0]
        assert sessions.name_of(keyring().sign(session_id, purpose="transaction")) is None

    async def test_a_signed_cookie_for_an_unknown_id_resumes_no_session(self, sessions: Sessions) -> None:
        assert await resume(sessions, keyring().sign("x" * 43, purpose="session")) is None

    async def test_cookies_and_records_still_work_after_a_new_key(self, store: MemoryStore, clock: FakeClock) -> None:
        before = await sign_in(Sessions(store, keyring(OLD_KEY), session_settings()), clock)
        rotated = Sessions(store, keyring(KEY, OLD_KEY), session_settings())
        resumed = await resume(rotated, before.cookie)
        assert resumed is not None
        changed = await rotated.rewrite(resumed, tokens=tokens(access_token="access-2"), identity=ALICE)
        assert changed is not None
        assert (await rotated.load(changed.name)) is not None
        assert await Sessions(store, keyring(KEY), session_settings()).load(changed.name) is not None


class TestRecords:
    async def test_a_changed_record_signs_nobody_in(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened, other = await sign_in(sessions, clock), await sign_in(sessions, clock, identity=BOB)
        record = store._records[opened.session.name]
        good = record.sealed
        rolled_back = good
        assert await sessions.rewrite(opened.session, tokens=tokens(), identity=ALICE)
        for bad in (rolled_back, store._records[other.session.name].sealed, b"", b"garbage", good[:-1], good + b"x"):
            record.sealed = bad
            assert await sessions.load(opened.session.name) is None

    async def test_a_record_of_another_schema_signs_nobody_in(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock)
        name = opened.session.name
        for plain in (b"{}", b"[]", b"not json", b'{"identity":{"sub":"alice"},"tokens":{}}'):
            sealed = keyring().seal(plain, purpose="session-record", name=name)
            store._records[name].sealed = sealed
            assert await sessions.load(name) is None


class TestTimes:
    async def test_the_idle_time_is_extended_only_by_activity(self, sessions: Sessions, clock: FakeClock) -> None:
        opened = await sign_in(sessions, clock)
        clock.advance(500)
        assert await sessions.touch(opened.session) == clock() + 600
        clock.advance(599)
        assert await resume(sessions, opened.cookie) is not None
        clock.advance(1)
        assert await resume(sessions, opened.cookie) is None
        assert await sessions.touch(opened.session) is None

    async def test_activity_and_rewriting_do_not_move_the_absolute_end(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock)
        current: Session | None = opened.session
        while clock() < opened.session.absolute_expires_at - 500:
            clock.advance(499)
            assert current is not None
            assert await sessions.touch(current) is not None
            current = await sessions.rewrite(current, tokens=tokens(), identity=ALICE)
        assert current is not None
        assert await sessions.touch(current) == opened.session.absolute_expires_at
        clock.set(opened.session.absolute_expires_at)
        assert await resume(sessions, opened.cookie) is None

    async def test_the_sealed_absolute_end_is_enforced_even_if_the_store_lost_it(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock)
        record = store._records[opened.session.name]
        record.idle_expires_at = record.absolute_expires_at = clock() + 10**6
        clock.set(opened.session.absolute_expires_at)
        assert await resume(sessions, opened.cookie) is None


class TestRewriting:
    async def test_rewriting_a_record_raises_its_revision_and_tells_all_processes(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        opened = await sign_in(sessions, clock)
        changed = await sessions.rewrite(
            opened.session, tokens=tokens(access_token="access-2"), identity=replace(ALICE, roles=())
        )
        assert changed is not None
        resumed = await resume(sessions, opened.cookie)
        assert resumed is not None
        assert (resumed.revision, resumed.tokens.access_token, resumed.identity.roles) == (1, "access-2", ())
        assert resumed.sid == "sid-1"
        assert events == [SessionChanged(opened.session.name)]

    async def test_an_older_copy_cannot_overwrite_a_newer_record(self, sessions: Sessions, clock: FakeClock) -> None:
        opened = await sign_in(sessions, clock)
        assert await sessions.rewrite(opened.session, tokens=tokens(access_token="new"), identity=ALICE)
        assert await sessions.rewrite(opened.session, tokens=tokens(access_token="old"), identity=ALICE) is None
        resumed = await resume(sessions, opened.cookie)
        assert resumed is not None
        assert resumed.tokens.access_token == "new"

    async def test_rewriting_an_ended_session_does_not_restore_it(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        opened = await sign_in(sessions, clock)
        await sessions.end(opened.session.name, EndReason.LOGOUT)
        assert await sessions.rewrite(opened.session, tokens=tokens(), identity=ALICE) is None
        assert await sessions.touch(opened.session) is None
        assert not store._records
        assert SessionChanged(opened.session.name) not in events


class TestListing:
    async def test_the_sessions_of_a_person_are_listed_newest_first_without_ended_ones(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        opened = [await sign_in(sessions, clock) for _ in range(4)]
        await sign_in(sessions, clock, identity=BOB)
        await sessions.end(opened[1].session.name, EndReason.LOGOUT)
        listed = await sessions.of_person(ISSUER, "alice")
        assert [one.name for one in listed] == [opened[index].session.name for index in (3, 2, 0)]
        assert await sessions.of_person(ISSUER, "nobody") == []

    async def test_the_sessions_of_a_provider_session_are_listed_newest_first_without_ended_ones(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock, sid="s-9")
        await sign_in(sessions, clock, sid="s-8")
        assert [one.name for one in await sessions.of_provider_session(ISSUER, "s-9")] == [opened.session.name]


class TestCap:
    async def test_the_oldest_sessions_over_the_limit_end(
        self, store: MemoryStore, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        capped = Sessions(store, keyring(), session_settings(max_per_person=2))
        opened = [await sign_in(capped, clock) for _ in range(3)]
        alive = [await resume(capped, one.cookie) is not None for one in opened]
        assert alive == [False, True, True]
        assert events == [SessionsEnded(EndReason.REVOKED, name=opened[0].session.name)]

    async def test_a_session_that_was_just_opened_is_not_ended_by_the_limit(
        self, store: MemoryStore, clock: FakeClock
    ) -> None:
        """Even if all have the same age by the clock."""
        capped = Sessions(store, keyring(), session_settings(max_per_person=1))
        for _ in range(20):
            opened = await capped.open(opening(clock))
            assert opened is not None
            assert await resume(capped, opened.cookie) is not None
        assert len(store._records) == 1

    async def test_the_limit_of_sessions_is_counted_for_each_person(self, store: MemoryStore, clock: FakeClock) -> None:
        capped = Sessions(store, keyring(), session_settings(max_per_person=1))
        opened = [await sign_in(capped, clock, identity=person) for person in (ALICE, BOB, COUSIN)]
        assert all([await resume(capped, one.cookie) for one in opened])
