"""The end of sessions: it ends the intended ones and no others, including sign-ins that have only started."""

from __future__ import annotations

import pytest

from bff.contract import EndReason
from bff.sessions.lifecycle import Sessions
from bff.stores.events import SessionEvent, SessionsEnded
from bff.stores.memory import MemoryStore
from tests.bff.factories import ALICE, ISSUER, KEY, OLD_KEY, keyring, opening, resume, session_settings
from tests.bff.sessions.test_lifecycle import BOB, COUSIN, sign_in
from tests.fakes import FakeClock


class TestEnding:
    async def test_ending_one_session_leaves_the_others(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        one, other = await sign_in(sessions, clock), await sign_in(sessions, clock)
        assert await sessions.end(one.session.name, EndReason.REVOKED)
        assert not await sessions.end(one.session.name, EndReason.REVOKED)
        assert await resume(sessions, one.cookie) is None
        assert await resume(sessions, other.cookie) is not None
        assert events == [SessionsEnded(EndReason.REVOKED, name=one.session.name)] * 2

    async def test_ending_a_person_ends_all_their_sessions_and_no_others(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        hers = [await sign_in(sessions, clock, sid=f"sid-{number}") for number in range(3)]
        others = [await sign_in(sessions, clock, identity=person) for person in (BOB, COUSIN)]
        ended = await sessions.end_person(ISSUER, "alice", EndReason.LOGOUT)
        assert {session.name for session in ended} == {one.session.name for one in hers}
        assert [await resume(sessions, one.cookie) for one in hers] == [None] * 3
        assert all([await resume(sessions, one.cookie) for one in others])
        (event,) = events
        assert isinstance(event, SessionsEnded)
        assert event.owner in {name for names in sessions.owners_of(hers[0].session) for name in names}

    async def test_ending_a_provider_session_ends_the_sessions_that_it_opened(
        self, sessions: Sessions, clock: FakeClock
    ) -> None:
        one, other = await sign_in(sessions, clock, sid="s-1"), await sign_in(sessions, clock, sid="s-2")
        shared = await sign_in(sessions, clock, sid="s-1", identity=BOB)
        foreign = await sign_in(sessions, clock, sid="s-1", identity=COUSIN)
        await sessions.end_provider_session(ISSUER, "s-1", EndReason.LOGOUT, sub="alice")
        alive = [await resume(sessions, each.cookie) is not None for each in (one, other, shared, foreign)]
        assert alive == [False, True, True, True]
        await sessions.end_provider_session(ISSUER, "s-1", EndReason.LOGOUT)
        alive = [await resume(sessions, each.cookie) is not None for each in (one, other, shared, foreign)]
        assert alive == [False, True, False, True]

    async def test_ending_everybody_ends_all_existing_sessions(
        self, sessions: Sessions, clock: FakeClock, events: list[SessionEvent]
    ) -> None:
        before = [await sign_in(sessions, clock, identity=person) for person in (ALICE, BOB, COUSIN)]
        at = clock()
        await sessions.end_everybody(EndReason.REVOKED)
        owners = sessions.barriers_of(before[0].session)[-1]
        assert events == [SessionsEnded(EndReason.REVOKED, owner=owner, at=at) for owner in owners]
        clock.advance(1)
        after = await sign_in(sessions, clock)
        assert [await resume(sessions, one.cookie) for one in before] == [None] * 3
        assert await resume(sessions, after.cookie) is not None

    async def test_clean_up_removes_broken_records_and_leaves_a_later_sign_in(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        garbled, later = await sign_in(sessions, clock), await sign_in(sessions, clock, login_started_at=clock() + 9)
        store._records[garbled.session.name].sealed = b"garbage"
        assert await sessions.end_person(ISSUER, "alice", EndReason.LOGOUT) == []
        assert list(store._records) == [later.session.name]
        assert await resume(sessions, later.cookie) is not None

    @pytest.mark.parametrize("wild", ["*", "?", "[a-z]*", "ali*", "%"])
    async def test_wildcard_characters_end_no_session(self, sessions: Sessions, clock: FakeClock, wild: str) -> None:
        opened = await sign_in(sessions, clock)
        await sessions.end_person(ISSUER, wild, EndReason.LOGOUT)
        await sessions.end_provider_session(ISSUER, wild, EndReason.LOGOUT)
        assert await resume(sessions, opened.cookie) is not None

    async def test_a_session_without_a_sid_cannot_be_ended_by_a_sid(self, sessions: Sessions, clock: FakeClock) -> None:
        opened = await sign_in(sessions, clock, sid="")
        await sessions.end_provider_session(ISSUER, "", EndReason.LOGOUT)
        assert await resume(sessions, opened.cookie) is not None


class TestBarriers:
    END = pytest.mark.parametrize("by", ["sub", "sid", "sub and sid", "everybody"])

    async def end(self, sessions: Sessions, by: str) -> None:
        match by:
            case "sub":
                await sessions.end_person(ISSUER, "alice", EndReason.LOGOUT)
            case "sid":
                await sessions.end_provider_session(ISSUER, "sid-1", EndReason.LOGOUT)
            case "sub and sid":
                await sessions.end_provider_session(ISSUER, "sid-1", EndReason.LOGOUT, sub="alice")
            case _:
                await sessions.end_everybody(EndReason.LOGOUT)

    @END
    async def test_a_sign_in_that_started_before_the_barrier_opens_no_session(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock, by: str
    ) -> None:
        under_way = opening(clock)
        clock.advance(1)
        await self.end(sessions, by)
        clock.advance(1)
        assert await sessions.open(under_way) is None
        assert not store._records

    @END
    async def test_a_sign_in_that_started_at_the_time_of_the_barrier_opens_no_session(
        self, sessions: Sessions, clock: FakeClock, by: str
    ) -> None:
        await self.end(sessions, by)
        assert await sessions.open(opening(clock)) is None

    @END
    async def test_a_sign_in_that_started_after_the_barrier_opens_a_session(
        self, sessions: Sessions, clock: FakeClock, by: str
    ) -> None:
        await self.end(sessions, by)
        clock.advance(0.001)
        opened = await sessions.open(opening(clock))
        assert opened is not None
        assert await resume(sessions, opened.cookie) is not None

    async def test_a_record_that_clean_up_missed_is_refused_and_removed_when_it_is_read(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened = await sign_in(sessions, clock)
        store._owned.clear()
        await sessions.end_person(ISSUER, "alice", EndReason.LOGOUT)
        assert opened.session.name in store._records
        assert await resume(sessions, opened.cookie) is None
        assert not store._records

    async def test_a_barrier_written_with_an_old_key_still_works_after_a_rotation(
        self, store: MemoryStore, clock: FakeClock
    ) -> None:
        old = Sessions(store, keyring(OLD_KEY), session_settings())
        under_way = opening(clock)
        clock.advance(1)
        await old.end_person(ISSUER, "alice", EndReason.LOGOUT)
        rotated = Sessions(store, keyring(KEY, OLD_KEY), session_settings())
        assert await rotated.open(under_way) is None

    async def test_records_listed_with_an_old_key_are_found_after_a_rotation(
        self, store: MemoryStore, clock: FakeClock
    ) -> None:
        opened = await sign_in(Sessions(store, keyring(OLD_KEY), session_settings()), clock)
        rotated = Sessions(store, keyring(KEY, OLD_KEY), session_settings())
        (ended,) = await rotated.end_person(ISSUER, "alice", EndReason.LOGOUT)
        assert ended.name == opened.session.name
        assert not store._records

    async def test_a_barrier_lasts_as_long_as_any_session_it_may_have_to_stop(
        self, sessions: Sessions, store: MemoryStore, clock: FakeClock
    ) -> None:
        under_way = opening(clock)
        clock.advance(1)
        await sessions.end_person(ISSUER, "alice", EndReason.LOGOUT)
        clock.advance(3599)
        assert await sessions.open(under_way) is None
