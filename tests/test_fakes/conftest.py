from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import CookieClient, FakeProvider, RecordingUpstream

from .relying_party import RelyingParty


@pytest.fixture(scope="module")
def running_provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as provider:
        yield provider


@pytest.fixture
def provider(running_provider: FakeProvider) -> Iterator[FakeProvider]:
    """The module's provider with its defaults."""
    yield running_provider
    running_provider.bend.reset()
    running_provider.options = type(running_provider.options)(auto_login="alice")
    running_provider.client.auth_method = "client_secret_basic"
    running_provider.client.post_logout_redirect_uris.clear()
    running_provider.client.redirect_uris = None
    running_provider.clear_hits()
    running_provider.reuse_detected.clear()


@pytest.fixture
def rp(provider: FakeProvider) -> Iterator[RelyingParty]:
    party = RelyingParty(provider)
    yield party
    party.close()


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as server:
        yield server


@pytest.fixture
def browser() -> Iterator[CookieClient]:
    with CookieClient() as client:
        yield client
