"""Failures of a refresh: only a refusal by the provider ends a session, and an end of the session always wins."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bff.contract import EndReason
from bff.errors import StoreUnavailable
from bff.sessions.refresh import LOCK_SECONDS, RETRY_SECONDS, BearerToken, NoToken, RefreshFailed, SessionOver
from bff.stores.events import SessionsEnded
from tests.bff.refresh_bench import LIFETIME, Bench, token_of
from tests.fakes import OMIT

OUTAGES: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 502, "body": "<html>"},
    {"status": 429},
    {"status": 302, "headers": {"location": "/"}},
    {"status": 400, "json": {"error": "temporarily_unavailable"}},
    {"status": 401, "json": {"error": "invalid_client"}},
    {"status": 404, "body": "gone"},
    {"status": 400, "body": "<html>maintenance"},
    {"status": 200, "body": "<html>maintenance"},
    {"status": 200, "json": []},
    {"status": 200, "json": {"access_token": "a"}},
]


class TestOutages:
    @pytest.mark.parametrize("bend", OUTAGES)
    async def test_an_outage_keeps_the_session_and_its_valid_token(self, bench: Bench, bend: dict[str, Any]) -> None:
        """SL-8: everything that is not the provider's own refusal of this grant."""
        session = await bench.sign_in()
        bench.fake.bend.token.raw(**bend)
        bench.clock.advance(LIFETIME)
        assert await bench.tokens.access_token(session) == RefreshFailed(RETRY_SECONDS)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens == session.tokens
        assert bench.events == []

    @pytest.mark.parametrize(
        ("bend", "reason"),
        [
            ({"status": 503}, "provider_error"),
            ({"status": 400, "json": {"error": "invalid_client"}}, "invalid_client"),
            ({"status": 404}, "status_404"),
            ({"status": 200, "body": "<html>"}, "token_response_malformed"),
        ],
    )
    async def test_an_outage_during_a_refresh_leaves_one_event_with_the_reason(
        self, bench: Bench, bend: dict[str, Any], reason: str
    ) -> None:
        session = await bench.sign_in()
        bench.fake.bend.token.raw(**bend)
        bench.clock.advance(LIFETIME)
        with capture_logs() as logs:
            await bench.tokens.access_token(session)
        assert [(line["event"], line["reason"]) for line in logs] == [("refresh_failed", reason)]
        pause = bench.tokens._retry_at[session.name] - bench.clock()
        assert RETRY_SECONDS * 0.5 <= pause <= RETRY_SECONDS * 1.5

    async def test_a_refresh_while_the_provider_is_down_leaves_one_event_with_the_reason(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(4000)
        bench.fake.bend.discovery.raw(200, body="<html>captive portal")
        bench.fake.bend.token.drop()
        assert await bench.tokens.access_token(session) == RefreshFailed(RETRY_SECONDS)
        assert await bench.again(session) is not None

    async def test_after_an_outage_the_refresh_pauses_and_then_tries_again(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.bend.token.raw(503, times=1)
        bench.clock.advance(LIFETIME)
        for _ in range(20):
            assert await bench.tokens.access_token(session) == RefreshFailed(RETRY_SECONDS)
        assert len(bench.fake.hits_of("token")) == 2
        bench.clock.advance(RETRY_SECONDS * 1.5)
        assert isinstance(await bench.tokens.access_token(session), BearerToken)
        assert bench.tokens._retry_at == {}

    async def test_no_refresh_token_is_used_while_the_answer_could_not_be_verified(self, bench: Bench) -> None:
        session = await bench.sign_in()
        fresh = bench.new_provider()
        bench.fake.bend.jwks.raw(500)
        bench.clock.advance(LIFETIME)
        bench.fake.clear_hits()
        assert await bench.new_refresher(corp=fresh).access_token(session) == RefreshFailed(RETRY_SECONDS)
        assert bench.fake.hits_of("token") == []
        await fresh.aclose()

    async def test_an_outage_between_the_grant_and_the_keys_keeps_the_new_tokens(self, bench: Bench) -> None:
        """The old refresh token is spent. Without the new one, the next refresh would end the session (TK-6)."""
        session = await bench.sign_in()
        await bench.provider.keys.current()
        bench.fake.rotate_keys(keep_old=False)
        bench.fake.bend.jwks.raw(500, times=1)
        bench.clock.advance(LIFETIME)
        assert isinstance(await bench.tokens.access_token(session), BearerToken)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens.refresh_token != session.tokens.refresh_token
        assert (stored.tokens.id_token, stored.identity) == (session.tokens.id_token, session.identity)
        bench.clock.advance(LIFETIME)
        assert isinstance(await bench.tokens.access_token(stored), BearerToken)
        renewed = await bench.again(session)
        assert renewed is not None
        assert renewed.tokens.id_token != session.tokens.id_token

    async def test_a_refreshed_id_token_with_an_unknown_key_keeps_the_new_tokens(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.bend.id_token.header(lambda header: {**header, "kid": "of-tomorrow"}, times=1)
        bench.clock.advance(LIFETIME)
        assert isinstance(await bench.tokens.access_token(session), BearerToken)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens.id_token == session.tokens.id_token

    async def test_an_unverifiable_id_token_of_another_person_ends_the_session(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.bend.id_token.header(lambda header: {**header, "kid": "of-tomorrow"}, times=1)
        bench.fake.bend.id_token.claims(lambda claims: {**claims, "sub": "bob"}, times=1)
        bench.clock.advance(LIFETIME)
        assert await bench.tokens.access_token(session) == SessionOver()
        assert await bench.again(session) is None

    async def test_after_a_store_outage_a_refresh_waits_until_events_are_heard_again(self, bench: Bench) -> None:
        session = await bench.sign_in()

        class Deaf(type(bench.store)):  # type: ignore[misc]  # the store of this bench, as one that has just come back
            is_hearing = False

        bench.clock.advance(LIFETIME)
        bench.store.__class__ = Deaf
        waiting = asyncio.create_task(bench.tokens.access_token(session))
        await asyncio.sleep(0.2)
        assert bench.grants == 0
        Deaf.is_hearing = True
        assert isinstance(await waiting, BearerToken)


class TestTheEndOfASession:
    async def test_a_refusal_of_the_refresh_token_by_the_provider_ends_the_session(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.revoke_refresh_tokens()
        bench.clock.advance(LIFETIME)
        outcomes = await asyncio.gather(*(bench.tokens.access_token(session) for _ in range(20)))
        assert outcomes == [SessionOver()] * 20
        assert await bench.again(session) is None
        assert bench.events == [SessionsEnded(EndReason.EXPIRED, name=session.name)]
        assert bench.grants == 0

    async def test_the_end_of_a_session_and_a_refresh_leave_one_event_each(self, bench: Bench) -> None:
        session = await bench.sign_in()
        with capture_logs() as logs:
            bench.clock.advance(LIFETIME)
            await bench.tokens.access_token(session)
            stored = await bench.again(session)
            bench.fake.revoke_refresh_tokens()
            bench.clock.advance(LIFETIME)
            assert stored is not None
            await bench.tokens.access_token(stored)
        assert [line["event"] for line in logs] == ["refresh_ok", "refresh_failed"]
        assert logs[1]["reason"] == "invalid_grant"

    BROKEN: tuple[dict[str, Any], ...] = (
        {"sub": "bob"},
        {"sub": OMIT},
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"exp": 1},
        {"at_hash": "x"},
    )

    @pytest.mark.parametrize("change", BROKEN)
    async def test_a_refreshed_id_token_that_is_invalid_or_of_another_person_ends_the_session(
        self, bench: Bench, change: dict[str, Any]
    ) -> None:
        session = await bench.sign_in()
        bench.fake.bend.id_token.claims(lambda claims: claims | change)
        bench.clock.advance(LIFETIME)
        assert await bench.tokens.access_token(session) == SessionOver()
        assert await bench.again(session) is None
        assert bench.events == [SessionsEnded(EndReason.REVOKED, name=session.name)]

    async def test_a_session_that_ends_during_a_refresh_stays_ended(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            await bench.sessions.end(session.name, EndReason.LOGOUT)
        assert await waiting == SessionOver()
        assert not bench.store._records

    async def test_a_session_that_ended_before_the_refresh_makes_no_token_request(self, bench: Bench) -> None:
        session = await bench.sign_in()
        await bench.sessions.end(session.name, EndReason.LOGOUT)
        bench.clock.advance(LIFETIME)
        assert await bench.tokens.access_token(session) == SessionOver()
        assert bench.grants == 0

    async def test_the_end_of_the_session_is_noticed_while_another_process_has_the_lock(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        await bench.store.lock(f"refresh:{session.name}", "another", seconds=LOCK_SECONDS)
        waiting = asyncio.create_task(bench.tokens.access_token(session))
        await asyncio.sleep(0.02)
        await bench.sessions.end(session.name, EndReason.LOGOUT)
        assert await waiting == SessionOver()


class TestTheLock:
    async def test_the_refresh_lock_of_a_dead_process_is_released(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        await bench.store.lock(f"refresh:{session.name}", "dead", seconds=LOCK_SECONDS)
        waiting = asyncio.create_task(bench.tokens.access_token(session))
        await asyncio.sleep(0.12)
        assert bench.grants == 0, "no grant without the lock"
        bench.clock.advance(LOCK_SECONDS)
        assert isinstance(await waiting, BearerToken)

    async def test_the_refresh_lock_is_kept_while_the_provider_is_slow(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bff.sessions.refresh.LOCK_RENEW_SECONDS", 0.01)
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            for _ in range(4):
                bench.clock.advance(LOCK_SECONDS * 0.8)
                await asyncio.sleep(0.05)
                assert not await bench.store.lock(f"refresh:{session.name}", "another", seconds=1)
        assert isinstance(await waiting, BearerToken)

    async def test_the_refresh_lock_is_released_after_the_refresh(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        await bench.tokens.access_token(session)
        assert await bench.store.lock(f"refresh:{session.name}", "another", seconds=1)

    async def test_the_refresh_lock_is_released_only_after_its_renewal_has_ended(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A renewal that is still on its way would take the lock again, and nobody would release it."""
        monkeypatch.setattr("bff.sessions.refresh.LOCK_RENEW_SECONDS", 0.01)
        happened: list[str] = []
        kind, asked = type(bench.store), asyncio.Event()
        lock, unlock = kind.lock, kind.unlock

        async def slow_renewal(*given: Any, **named: Any) -> bool:
            if not happened:
                happened.append("locked")
                return await lock(*given, **named)
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.02)
                happened.append("renewal ended")
            return True

        async def noted_unlock(*given: Any, **named: Any) -> None:
            happened.append("unlocked")
            await unlock(*given, **named)

        monkeypatch.setattr(kind, "lock", slow_renewal)
        monkeypatch.setattr(kind, "unlock", noted_unlock)
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            await asked.wait()
        assert isinstance(await waiting, BearerToken)
        assert happened == ["locked", "renewal ended", "unlocked"]


class TestTheRecordMeanwhile:
    async def test_a_record_that_others_rewrote_still_gets_the_new_tokens(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            assert await bench.sessions.rewrite(session, tokens=session.tokens, identity=session.identity)
        fresh = token_of(await waiting)
        stored = await bench.again(session)
        assert stored is not None
        assert (stored.tokens.access_token, stored.revision) == (fresh, 2)

    async def test_a_record_with_a_later_grant_is_not_overwritten_by_a_late_result(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        later = replace(session.tokens, access_token="later", obtained_at=bench.clock(), expires_at=bench.clock() + 50)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            assert await bench.sessions.rewrite(session, tokens=later, identity=session.identity)
        assert token_of(await waiting) == "later"
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens == later

    async def test_a_record_with_a_later_grant_is_not_ended_by_a_late_refusal(self, bench: Bench) -> None:
        """SL-5: a holder that slept longer than its lock is told that its refresh token was used already.

        Another process used it.
        """
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        later = replace(session.tokens, access_token="later", refresh_token="rotated", expires_at=bench.clock() + 50)
        bench.fake.bend.token.raw(400, json={"error": "invalid_grant"})
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            assert await bench.sessions.rewrite(session, tokens=later, identity=session.identity)
        assert token_of(await waiting) == "later"
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens == later


class TestTheStoreMeanwhile:
    async def test_an_unreachable_store_does_not_lose_the_granted_token(self, bench: Bench) -> None:
        """The refresh token is spent, so the new tokens are kept until they can be written.

        Waiting requests get an answer at once.
        """
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        bench.store.is_out = True
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(1):
                await bench.tokens.access_token(session)
        with pytest.raises(StoreUnavailable):
            await bench.tokens.access_token(session)
        bench.store.is_out = False
        await bench.tokens.drain()
        stored = await bench.again(session)
        assert stored is not None
        assert bench.grants == 1
        assert stored.tokens.refresh_token not in ("", session.tokens.refresh_token)
        assert await bench.tokens.access_token(stored) == BearerToken(
            stored.tokens.access_token, stored.tokens.expires_at
        )

    async def test_saving_a_granted_token_is_given_up_after_a_long_store_outage(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bff.sessions.refresh.STORE_GIVE_UP_SECONDS", 0.3)
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        bench.store.is_out = True
        with pytest.raises(StoreUnavailable):
            await bench.tokens.access_token(session)
        async with asyncio.timeout(2):
            await bench.tokens.drain()


class TestWithoutMeans:
    async def test_a_session_of_a_provider_that_is_no_longer_configured_gets_no_token(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        assert await bench.new_refresher(other=bench.provider).access_token(session) == NoToken()
        assert await bench.again(session) is not None

    async def test_a_record_that_lost_its_refresh_token_during_the_wait_gets_no_token(self, bench: Bench) -> None:
        session = await bench.sign_in()
        without = replace(session.tokens, refresh_token="")
        assert await bench.sessions.rewrite(session, tokens=without, identity=session.identity)
        bench.clock.advance(LIFETIME)
        assert await bench.tokens.access_token(session) == NoToken()
