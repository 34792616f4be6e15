"""What the tests of the client of a provider share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from bff.provider.client import Provider
from tests.bff.provider.calls import provider_of
from tests.fakes import FakeClock, FakeProvider


@pytest.fixture(scope="module")
def running() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeProvider) -> FakeProvider:
    running.bend.reset()
    running.clear_hits()
    return running


@pytest.fixture
async def provider(fake: FakeProvider, clock: FakeClock) -> AsyncIterator[Provider]:
    made = provider_of(fake, clock)
    yield made
    await made.aclose()
