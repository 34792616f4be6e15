"""Clients of the fake provider, and what they may ask."""

from __future__ import annotations

from typing import Any

import pytest

from bff.errors import InvalidToken, ProviderUnavailable
from bff.provider.client import Provider, http_client_for
from tests.bff.factories import provider_settings
from tests.fakes import DEFAULT_CLIENT_SECRET, FakeClock, FakeProvider


def provider_of(fake: FakeProvider, clock: FakeClock, **over: Any) -> Provider:
    table = {"issuer": fake.issuer, "client_secret": DEFAULT_CLIENT_SECRET, "http_timeout_seconds": 5} | over
    settings = provider_settings(**table)
    return Provider("corp", settings, http=http_client_for(settings), clock=clock)


def endpoints(fake: FakeProvider) -> list[str]:
    return [hit.endpoint for hit in fake.hits]


async def code_of(work: Any) -> str:
    with pytest.raises((ProviderUnavailable, InvalidToken)) as failed:
        await work
    return failed.value.code
