"""A provider with its sign-in page, and an application that uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bff.testing import FakeClock, FakeProvider
from tests.bff.fake_provider.relying_party import RelyingParty
from tests.fakes import CookieClient


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider(clock: FakeClock) -> Iterator[FakeProvider]:
    with FakeProvider(clock=clock, interactive=True) as running:
        yield running


@pytest.fixture
def party(provider: FakeProvider) -> Iterator[RelyingParty]:
    with CookieClient() as browser:
        yield RelyingParty(provider, browser)


@pytest.fixture
def other_party(provider: FakeProvider) -> Iterator[RelyingParty]:
    """The same application in a second browser."""
    with CookieClient() as browser:
        yield RelyingParty(provider, browser)
