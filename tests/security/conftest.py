"""Fixtures for the tests of attacks: one shared house for attacks without state, and separate houses for the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from typing import Any

import pytest
import structlog

from tests.fakes import FakeClock, FakeProvider, Options, RecordingUpstream
from tests.security.certificates import Authority, make_authority
from tests.security.house import House, open_house


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as provider:
        yield provider


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream(keep_body_bytes=65_536) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def shared_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream) as house:
        yield house


@pytest.fixture
def audit() -> Iterator[list[MutableMapping[str, Any]]]:
    """Every structured log event of this test."""
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.fixture
def provider(shared_provider: FakeProvider) -> Iterator[FakeProvider]:
    """The shared provider, correct again and with nothing recorded."""
    make_correct(shared_provider)
    yield shared_provider
    make_correct(shared_provider)


def make_correct(provider: FakeProvider) -> None:
    provider.bend.reset()
    provider.options = Options(auto_login="alice")
    provider.client.auth_method = "client_secret_basic"
    provider.clock = time.time
    provider.clear_hits()
    provider.memory.issued.clear()
    provider.reuse_detected.clear()


@pytest.fixture
def upstream(shared_upstream: RecordingUpstream) -> RecordingUpstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture
def house(
    shared_house: House,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    audit: list[MutableMapping[str, Any]],
) -> Iterator[House]:
    """The shared house: for attacks that do not change its settings, keys or clock."""
    house = House(provider, upstream, shared_house.door, shared_house.store, audit)
    yield house
    house.close_browsers()


@pytest.fixture
def cookie(house: House) -> str:
    """Alice's session cookie; nothing of her sign-in is left in the upstream's records."""
    value = house.session_cookie(house.sign_in())
    house.upstream.clear()
    return value


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Everything that is entered here ends with the test, the last one first.

    So enter providers before their houses.
    """
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def build_house(
    provider: FakeProvider, upstream: RecordingUpstream, audit: list[MutableMapping[str, Any]], stack: ExitStack
) -> Callable[..., House]:
    """`build_house(clock=…, session={…})`: a house only for this test, which ends with it."""

    def build(own_provider: FakeProvider | None = None, **how: Any) -> House:
        house = stack.enter_context(open_house(own_provider or provider, upstream, **how))
        house.audit = audit
        return house

    return build


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    """One clock for all tests that need one. Each test continues from where the last one stopped."""
    return FakeClock()


@pytest.fixture(scope="session")
def shared_timed_house(
    shared_provider: FakeProvider, shared_upstream: RecordingUpstream, clock: FakeClock
) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, clock=clock) as house:
        yield house


@pytest.fixture
def timed_house(
    shared_timed_house: House,
    build_house: Callable[..., House],
    clock: FakeClock,
    audit: list[MutableMapping[str, Any]],
    stack: ExitStack,
) -> Callable[..., House]:
    """`timed_house(session={…})`: a house whose door, store and provider share the test's clock.

    A test without settings gets the house that all such tests share.
    """

    def build(**how: Any) -> House:
        if how:
            house = build_house(clock=clock, **how)
        else:
            shared = shared_timed_house
            house = House(shared.provider, shared.upstream, shared.door, shared.store, audit)
            stack.callback(house.close_browsers)
        clock.advance(1)  # a name that one test ended must not end a session of the next test
        house.provider.clock = clock
        return house

    return build


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("certificates"))
