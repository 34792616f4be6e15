"""Verification keys of a provider: rotation, outages and storms of unknown names."""

from __future__ import annotations

import asyncio

import pytest

from bff.errors import InvalidToken, ProviderUnavailable
from bff.fetch.keys import (
    BURST,
    COOLDOWN_SECONDS,
    FRESH_SECONDS,
    KEEP_SECONDS,
    MAX_UNKNOWN,
    UNKNOWN_SECONDS,
    ProviderKeys,
)
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import UnknownKey, verify_signature
from tests.bff.factories import jwt_of, published, signing_key
from tests.fakes import FakeClock

Keys = tuple[VerificationKey, ...]


class Publisher:
    """A JWK Set that can change, fail and answer slowly. It counts the requests."""

    def __init__(self, *kids: str) -> None:
        self.kids = list(kids)
        self.fetches = 0
        self.failure = False
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> Keys:
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure:
            raise ProviderUnavailable("provider_error")
        return published(*(signing_key("EdDSA", kid) for kid in self.kids))


@pytest.fixture
def publisher() -> Publisher:
    return Publisher("one")


@pytest.fixture
def keys(publisher: Publisher, clock: FakeClock) -> ProviderKeys:
    return ProviderKeys(publisher.fetch, clock=clock)


def token(kid: str) -> str:
    return jwt_of({"sub": "alice"}, key=signing_key("EdDSA", kid))


def unknown(kid: str) -> str:
    """A token that claims to be signed by `kid`."""
    return jwt_of({"sub": "alice"}, key=signing_key("EdDSA", "one"), header={"kid": kid})


async def passes(keys: ProviderKeys, text: str, *, from_provider: bool = False) -> bool:
    def validate(known: Keys) -> object:
        return verify_signature(text, keys=known, alg="EdDSA", prefix="p", types=frozenset({"jwt"}))

    try:
        await keys.validate(text, validate, prefix="p", from_provider=from_provider)
    except UnknownKey:
        return False
    return True


class TestFetching:
    async def test_keys_are_fetched_when_needed_and_once_while_they_are_fresh(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        assert publisher.fetches == 0
        for _ in range(5):
            assert await passes(keys, token("one"))
        clock.advance(FRESH_SECONDS - 1)
        await keys.current()
        assert publisher.fetches == 1

    async def test_callers_that_wait_share_one_fetch(self, keys: ProviderKeys, publisher: Publisher) -> None:
        assert all(await asyncio.gather(*(passes(keys, token("one")) for _ in range(300))))
        assert publisher.fetches == 1

    async def test_a_fetch_goes_on_when_the_first_caller_leaves(self, keys: ProviderKeys, publisher: Publisher) -> None:
        publisher.gate = asyncio.Event()
        first, second = (asyncio.create_task(keys.current()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        publisher.gate.set()
        assert [key.kid for key in await second] == ["one"]
        assert publisher.fetches == 1

    async def test_a_failed_first_fetch_is_raised_and_tried_again(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        publisher.failure = True
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await keys.current()
        publisher.failure = False
        assert await keys.current()
        assert publisher.fetches == 3


class TestRotation:
    async def test_a_new_key_is_fetched_at_once(self, keys: ProviderKeys, publisher: Publisher) -> None:
        assert await passes(keys, token("one"))
        publisher.kids = ["one", "two"]
        assert await passes(keys, token("two"))
        assert publisher.fetches == 2

    async def test_two_key_rotations_in_a_row_work(self, keys: ProviderKeys, publisher: Publisher) -> None:
        assert await passes(keys, token("one"))
        for kid in ("two", "three"):
            publisher.kids = [kid]
            assert await passes(keys, token(kid))

    async def test_all_requests_at_the_moment_of_a_rotation_pass(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        """Not only as many as there are allowed fetches."""
        assert await passes(keys, token("one"))
        publisher.kids = ["two"]
        assert all(await asyncio.gather(*(passes(keys, token("two")) for _ in range(300))))
        assert publisher.fetches == 2

    async def test_a_removed_key_stops_counting_within_ten_minutes(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        assert await passes(keys, token("one"))
        publisher.kids = ["two"]
        clock.advance(FRESH_SECONDS)
        assert not await passes(keys, token("one"))


class TestUnknownNames:
    async def test_many_unknown_key_names_cause_no_more_fetches_than_the_burst(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        assert await passes(keys, token("one"))
        for number in range(2000):
            assert not await passes(keys, unknown(f"x{number}"))
            clock.advance((COOLDOWN_SECONDS - 1) / 2000)
        assert publisher.fetches == 1 + BURST
        assert await passes(keys, token("one"))

    async def test_many_unknown_key_names_in_parallel_cause_no_more_fetches_than_the_burst(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        assert await passes(keys, token("one"))
        await asyncio.gather(*(passes(keys, unknown(f"x{number}")) for number in range(300)))
        assert publisher.fetches <= 1 + BURST

    async def test_after_the_burst_there_is_one_fetch_per_cooldown(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        await keys.current()
        for number in range(BURST + 5):
            await passes(keys, unknown(f"x{number}"))
        before = publisher.fetches
        clock.advance(COOLDOWN_SECONDS)
        for number in range(5):
            await passes(keys, unknown(f"y{number}"))
        assert publisher.fetches == before + 1

    async def test_the_same_unknown_key_name_causes_no_fetch_for_a_minute(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        await keys.current()
        assert not await passes(keys, unknown("x"))
        clock.advance(UNKNOWN_SECONDS - 1)
        assert not await passes(keys, unknown("x"))
        assert publisher.fetches == 2
        clock.advance(1)
        assert not await passes(keys, unknown("x"))
        assert publisher.fetches == 3

    async def test_a_key_name_already_known_to_be_missing_does_not_wait_for_a_running_fetch(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        assert not await passes(keys, unknown("x"))
        publisher.gate = asyncio.Event()
        refreshing = asyncio.create_task(keys.refresh())
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert not await passes(keys, unknown("x"))
        publisher.gate.set()
        await refreshing

    async def test_the_number_of_remembered_unknown_key_names_is_limited(
        self, keys: ProviderKeys, clock: FakeClock
    ) -> None:
        await keys.current()
        for number in range(MAX_UNKNOWN + 50):
            clock.advance(COOLDOWN_SECONDS / 100)
            keys._from_strangers.remember(f"x{number}", now=clock())
        assert len(keys._from_strangers._unknown) == MAX_UNKNOWN
        assert "x0" not in keys._from_strangers._unknown

    async def test_unknown_key_names_from_strangers_do_not_delay_the_tokens_of_the_provider(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        """DM-4: anybody can post a logout token, so such tokens must not use up the fetches of keys."""
        assert await passes(keys, token("one"))
        for number in range(10):
            assert not await passes(keys, unknown(f"x{number}"))
        assert not await passes(keys, token("two"))  # named before it is published
        publisher.kids = ["two"]
        assert not await passes(keys, token("two"))
        assert await passes(keys, token("two"), from_provider=True)


class TestTokensThatNameNoKey:
    async def test_a_token_without_a_kid_that_fails_is_tried_again_with_fresh_keys(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        """Small providers name no keys, and have new ones after a restart."""
        nameless = jwt_of({"sub": "alice"}, key=signing_key("EdDSA", "two"), drop=("kid",))
        assert await passes(keys, token("one"))
        publisher.kids = ["two"]
        assert await passes(keys, nameless)
        assert publisher.fetches == 2

    async def test_forged_tokens_without_a_kid_cause_no_more_fetches_than_the_burst_and_block_no_good_token(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        forged = jwt_of({"sub": "alice"}, key=signing_key("EdDSA", "evil"), drop=("kid",))
        assert await passes(keys, token("one"))
        for _ in range(50):
            assert not await passes(keys, forged)
        assert publisher.fetches == 1 + BURST
        clock.advance(COOLDOWN_SECONDS)
        publisher.kids = ["two"]
        assert await passes(keys, jwt_of({"sub": "alice"}, key=signing_key("EdDSA", "two"), drop=("kid",)))

    async def test_a_token_without_a_kid_keeps_the_code_of_any_other_error(self, keys: ProviderKeys) -> None:
        forged = jwt_of({"sub": "alice"}, key=signing_key("EdDSA", "evil"), drop=("kid",))
        with pytest.raises(InvalidToken) as refused:
            await passes(keys, forged + "=")
        assert refused.value.code == "p_malformed"


class TestOtherFaults:
    async def test_an_error_other_than_an_unknown_key_causes_no_fetch(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        await keys.current()
        with pytest.raises(InvalidToken) as refused:
            await passes(keys, jwt_of({}, key=signing_key("EdDSA", "two"), header={"kid": "one"}))
        assert refused.value.code == "p_signature"
        assert publisher.fetches == 1


class TestOutages:
    async def test_the_last_good_keys_are_used_for_a_day_during_an_outage(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        assert await passes(keys, token("one"))
        publisher.failure = True
        clock.advance(KEEP_SECONDS)
        assert await passes(keys, token("one"))
        clock.advance(COOLDOWN_SECONDS + 1)
        with pytest.raises(ProviderUnavailable):
            await keys.current()

    async def test_the_provider_is_asked_for_keys_again_only_after_a_pause(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        await keys.current()
        publisher.failure = True
        clock.advance(FRESH_SECONDS)
        for _ in range(50):
            await keys.current()
        assert publisher.fetches == 2
        clock.advance(COOLDOWN_SECONDS)
        await keys.current()
        assert publisher.fetches == 3

    async def test_an_unknown_key_name_during_an_outage_raises_an_outage_and_not_an_invalid_token(
        self, keys: ProviderKeys, publisher: Publisher
    ) -> None:
        await keys.current()
        publisher.failure = True
        with pytest.raises(ProviderUnavailable):
            await passes(keys, unknown("x"))
        assert await passes(keys, token("one"))

    async def test_keys_are_fetched_again_after_an_outage_without_a_restart(
        self, keys: ProviderKeys, publisher: Publisher, clock: FakeClock
    ) -> None:
        await keys.current()
        publisher.failure = True
        clock.advance(FRESH_SECONDS)
        await keys.current()
        publisher.failure, publisher.kids = False, ["two"]
        clock.advance(COOLDOWN_SECONDS)
        assert await passes(keys, token("two"))
