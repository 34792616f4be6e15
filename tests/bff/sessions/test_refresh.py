"""Refreshing access tokens: one request per expiry for all callers, and claims that follow it."""

from __future__ import annotations

import asyncio

import pytest

from bff.errors import StoreUnavailable
from bff.sessions.record import Session
from bff.sessions.refresh import BearerToken, NoToken
from bff.stores.memory import MemoryStore
from tests.bff.refresh_bench import LIFETIME, MARGIN, SCOPE, Bench, token_of


class TestWithoutAGrant:
    async def test_a_token_that_is_still_valid_is_used(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME - MARGIN - 1)
        outcome = await bench.tokens.access_token(session)
        assert outcome == BearerToken(session.tokens.access_token, session.tokens.expires_at)
        assert bench.grants == 0

    async def test_a_token_of_unknown_lifetime_is_used(self, bench: Bench) -> None:
        session = await bench.sign_in(expires_at=None)
        bench.clock.advance(10_000)
        assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token

    async def test_a_session_that_never_had_a_token_gives_no_token(self, bench: Bench) -> None:
        session = await bench.sign_in(access_token="", refresh_token="", expires_at=None)
        assert await bench.tokens.access_token(session) == NoToken()

    async def test_without_a_refresh_token_the_token_is_used_until_it_expires(self, bench: Bench) -> None:
        session = await bench.sign_in(refresh_token="")
        bench.clock.advance(LIFETIME - 1)
        assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token
        bench.clock.advance(1)
        assert await bench.tokens.access_token(session) == NoToken()
        assert await bench.again(session) is not None

    async def test_a_printed_outcome_of_a_refresh_shows_no_token(self, bench: Bench) -> None:
        session = await bench.sign_in()
        assert session.tokens.access_token not in repr(await bench.tokens.access_token(session))


class TestOneGrantPerExpiry:
    @pytest.mark.parametrize(
        ("given", "left"),
        [
            ("openid models:read models:write admin", SCOPE),
            ("models:read", "models:read"),
            ("admin", ""),
            (None, SCOPE),
        ],
    )
    async def test_a_refresh_never_widens_the_scope(self, bench: Bench, given: str | None, left: str) -> None:
        """TK-6: no answer to a refresh opens a route for which the scope was missing at sign-in."""
        session = await bench.sign_in()
        bench.fake.bend.token.json(lambda answer: {**answer, "scope": given} if given is not None else answer, times=1)
        bench.clock.advance(LIFETIME)
        await bench.tokens.access_token(session)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens.scope == left

    async def test_two_hundred_requests_share_one_refresh(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        outcomes = await asyncio.gather(*(bench.tokens.access_token(session) for _ in range(200)))
        assert bench.grants == 1
        (fresh,) = {token_of(outcome) for outcome in outcomes}
        assert fresh != session.tokens.access_token
        stored = await bench.again(session)
        assert stored is not None
        assert (stored.tokens.access_token, stored.revision) == (fresh, 1)
        assert stored.tokens.refresh_token != session.tokens.refresh_token
        assert stored.tokens.expires_at == bench.clock() + LIFETIME - 1

    async def test_three_processes_share_one_refresh(self, bench: Bench) -> None:
        session = await bench.sign_in()
        processes = [bench.tokens, bench.new_refresher(), bench.new_refresher()]
        bench.clock.advance(LIFETIME)
        outcomes = await asyncio.gather(*(each.access_token(session) for each in processes for _ in range(60)))
        assert bench.grants == 1
        assert len({token_of(outcome) for outcome in outcomes}) == 1

    async def test_a_request_with_an_old_copy_gets_the_new_token_without_another_refresh(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        first = await bench.tokens.access_token(session)
        assert await bench.new_refresher().access_token(session) == first
        assert bench.grants == 1

    async def test_fifty_expired_tokens_cause_fifty_refreshes(self, bench: Bench) -> None:
        session: Session | None = await bench.sign_in()
        for _ in range(50):
            assert session is not None
            bench.clock.advance(LIFETIME)
            assert isinstance(await bench.new_refresher().access_token(session), BearerToken)
            session = await bench.again(session)
        assert bench.grants == 50

    async def test_a_refresh_request_has_the_refresh_token_and_no_scope(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        bench.fake.clear_hits()
        await bench.tokens.access_token(session)
        (hit,) = bench.fake.hits_of("token")
        assert dict(hit.form) == {"grant_type": "refresh_token", "refresh_token": session.tokens.refresh_token}

    async def test_values_that_the_refresh_response_leaves_out_are_kept(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.options.rotate_refresh_tokens = bench.fake.options.id_token_on_refresh = False
        bench.fake.bend.token.json(lambda answer: {k: v for k, v in answer.items() if k not in ("scope", "expires_in")})
        bench.clock.advance(LIFETIME)
        outcome = await bench.tokens.access_token(session)
        stored = await bench.again(session)
        assert stored is not None
        assert outcome == BearerToken(stored.tokens.access_token, stored.tokens.expires_at)
        assert stored.tokens.expires_at == pytest.approx(bench.clock() + LIFETIME - 1, abs=1)
        assert (stored.tokens.refresh_token, stored.tokens.id_token, stored.tokens.scope) == (
            session.tokens.refresh_token,
            session.tokens.id_token,
            SCOPE,
        )
        assert stored.identity == session.identity

    async def test_a_cancelled_request_does_not_stop_the_refresh(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME)
        with bench.fake.bend.token.hold() as gate:
            waiting = asyncio.create_task(bench.tokens.access_token(session))
            await asyncio.to_thread(gate.wait_arrived)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await bench.tokens.drain()
        stored = await bench.again(session)
        assert stored is not None
        assert stored.tokens.access_token != session.tokens.access_token


class TestAheadOfTheEnd:
    @pytest.mark.parametrize(("lifetime", "margin"), [(50, 10), (300, 60), (10_000, 60)])
    async def test_a_refresh_starts_a_fifth_of_the_lifetime_before_the_end_and_at_most_the_configured_time(
        self, bench: Bench, lifetime: float, margin: float
    ) -> None:
        session = await bench.sign_in(expires_at=bench.clock() + lifetime)
        bench.clock.advance(lifetime - margin - 1)
        await bench.tokens.access_token(session)
        await bench.tokens.drain()
        assert bench.grants == 0
        bench.clock.advance(1)
        await bench.tokens.access_token(session)
        await bench.tokens.drain()
        assert bench.grants == 1

    async def test_an_early_refresh_delays_no_request_and_the_next_request_has_the_new_token(
        self, bench: Bench
    ) -> None:
        session = await bench.sign_in()
        bench.clock.advance(LIFETIME - MARGIN)
        with bench.fake.bend.token.hold():
            async with asyncio.timeout(1):
                for _ in range(20):
                    assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token
        await bench.tokens.drain()
        assert bench.grants == 1
        stored = await bench.again(session)
        assert stored is not None
        assert token_of(await bench.tokens.access_token(stored)) != session.tokens.access_token

    async def test_a_failed_early_refresh_is_not_repeated_with_every_request(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.bend.token.raw(503)
        bench.clock.advance(LIFETIME - MARGIN)
        for _ in range(10):
            assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token
            await bench.tokens.drain()
        assert len(bench.fake.hits_of("token")) == 2, "the sign-in and one try"

    async def test_a_failed_refresh_of_another_request_leaves_the_valid_token_in_use(self, bench: Bench) -> None:
        """A request at the very end of the token's life waits for a refresh that started before."""
        session = await bench.sign_in()
        bench.fake.bend.token.raw(503)
        bench.clock.advance(LIFETIME - MARGIN)
        assert token_of(await bench.tokens._flight(session, beside_id_token=False).told) == session.tokens.access_token

    async def test_a_store_failure_during_an_early_refresh_is_raised_at_the_next_request(self, bench: Bench) -> None:
        session = await bench.sign_in()

        class Broken(MemoryStore):
            async def lock(self, name: str, holder: str, *, seconds: float) -> bool:
                raise StoreUnavailable

        bench.sessions.store = Broken(clock=bench.clock)
        bench.clock.advance(LIFETIME - MARGIN)
        assert token_of(await bench.tokens.access_token(session)) == session.tokens.access_token
        await bench.tokens.drain()
        bench.clock.advance(MARGIN)
        with pytest.raises(StoreUnavailable):
            await bench.tokens.access_token(session)


class TestClaims:
    async def test_claims_are_replaced_by_a_refreshed_id_token(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.bend.id_token.claims(lambda claims: claims | {"realm_access": {"roles": ["viewer"]}})
        bench.fake.bend.access_token.claims(lambda claims: claims | {"realm_access": {"roles": ["viewer"]}})
        bench.clock.advance(LIFETIME)
        await bench.tokens.access_token(session)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.identity.roles == ("viewer",)
        assert stored.identity.expires_at == session.identity.expires_at
        assert stored.sid == session.sid

    async def test_claims_are_kept_when_a_refresh_has_no_id_token(self, bench: Bench) -> None:
        session = await bench.sign_in()
        bench.fake.options.id_token_on_refresh = False
        bench.fake.bend.access_token.claims(lambda claims: claims | {"realm_access": {"roles": ["root"]}})
        bench.clock.advance(LIFETIME)
        await bench.tokens.access_token(session)
        stored = await bench.again(session)
        assert stored is not None
        assert stored.identity == session.identity
