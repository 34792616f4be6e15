"""What the tests of several modules of `bff` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bff.sessions.lifecycle import Sessions
from bff.stores.events import SessionEvent
from bff.stores.memory import MemoryStore
from tests.bff.factories import keyring, session_settings
from tests.bff.refresh_bench import LIFETIME, Bench
from tests.fakes import FakeClock, FakeProvider


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> MemoryStore:
    return MemoryStore(clock=clock)


@pytest.fixture
def events(store: MemoryStore) -> list[SessionEvent]:
    told: list[SessionEvent] = []
    store.subscribe(told.append)
    return told


@pytest.fixture
def sessions(store: MemoryStore) -> Sessions:
    """Sessions that idle for ten minutes and last an hour."""
    return Sessions(store, keyring(), session_settings())


@pytest.fixture(scope="package")
def clocked_provider() -> Iterator[tuple[FakeProvider, FakeClock]]:
    clock = FakeClock()
    with FakeProvider(access_token_lifetime=LIFETIME, clock=clock) as fake:
        yield fake, clock


@pytest.fixture
async def bench(clocked_provider: tuple[FakeProvider, FakeClock]) -> AsyncIterator[Bench]:
    """A new provider, but with the same keys. At the end no refresh token may have been used twice."""
    fake, clock = clocked_provider
    fake.bend.reset()
    fake.clear_hits()
    fake.reuse_detected.clear()
    options = fake.options
    options.rotate_refresh_tokens, options.id_token_on_refresh, options.refresh_token_lifetime = True, True, 86_400
    made = Bench(fake, clock)
    yield made
    await made.tokens.drain()
    await made.provider.aclose()
    assert fake.reuse_detected == []
