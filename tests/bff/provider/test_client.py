"""One identity provider over sockets: which of its answers are believed, and what happens while it is down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bff.errors import ProviderUnavailable
from bff.provider.client import (
    HEARD_SECONDS,
    METADATA_FRESH_SECONDS,
    METADATA_KEEP_SECONDS,
    METADATA_RETRY_SECONDS,
    SILENCE_SECONDS,
    Provider,
)
from tests.bff.provider.calls import code_of, endpoints, provider_of
from tests.fakes import FakeClock, FakeProvider


class TestDiscoveryElsewhere:
    """`discovery_url`: the document is not below the issuer."""

    def provider_at(self, host: FakeProvider, fake: FakeProvider, clock: FakeClock, **over: Any) -> Provider:
        return provider_of(fake, clock, discovery_url=f"{host.issuer}/.well-known/openid-configuration?p=b2c_1", **over)

    def document(self, fake: FakeProvider, **over: Any) -> dict[str, Any]:
        endpoints = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        return {"issuer": fake.issuer} | {name: fake.issuer + path for name, path in endpoints.items()} | over

    async def test_a_discovery_document_at_another_address_is_read_with_its_query(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        with FakeProvider() as host:
            host.bend.discovery.json(lambda _: self.document(fake))
            provider = self.provider_at(host, fake, clock)
            assert (await provider.metadata()).token_endpoint == f"{fake.issuer}/token"
            (hit,) = host.hits
            assert dict(hit.query) == {"p": "b2c_1"}
            assert fake.hits == []
            await provider.aclose()

    async def test_a_discovery_document_at_another_address_may_have_endpoints_on_its_own_host(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        with FakeProvider() as host:
            host.bend.discovery.json(lambda _: self.document(fake, token_endpoint=f"{host.issuer}/t"))
            provider = self.provider_at(host, fake, clock)
            assert (await provider.metadata()).token_endpoint == f"{host.issuer}/t"
            await provider.aclose()

    async def test_a_discovery_document_at_another_address_may_not_have_endpoints_on_other_hosts(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        with FakeProvider() as host:
            host.bend.discovery.json(lambda _: self.document(fake, token_endpoint="http://127.0.0.1:1/t"))
            provider = self.provider_at(host, fake, clock)
            assert await code_of(provider.metadata()) == "discovery_endpoint"
            await provider.aclose()

    async def test_a_discovery_document_at_another_address_must_have_the_configured_issuer(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        with FakeProvider() as host:
            provider = self.provider_at(host, fake, clock)
            assert await code_of(provider.metadata()) == "discovery_issuer"
            await provider.aclose()

    async def test_a_discovery_address_that_does_not_answer_makes_the_provider_silent(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        with FakeProvider() as host:
            host.bend.discovery.raw(503)
            provider = self.provider_at(host, fake, clock)
            assert await code_of(provider.answering_metadata()) == "provider_error"
            assert provider.is_silent
            await provider.aclose()

    async def test_a_wrong_discovery_address_is_named_in_the_error(self, fake: FakeProvider, clock: FakeClock) -> None:
        provider = provider_of(fake, clock, discovery_url=f"{fake.issuer}/nowhere")
        with pytest.raises(ProviderUnavailable) as failed:
            await provider.metadata()
        assert f"{fake.issuer}/nowhere" in failed.value.detail
        await provider.aclose()


class TestAnswering:
    """True if a browser may be sent there."""

    async def test_a_provider_that_has_just_answered_is_not_checked_again(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        known = await provider.answering_metadata()
        clock.advance(HEARD_SECONDS - 1)
        assert await provider.answering_metadata() is known
        assert endpoints(fake) == ["discovery"]

    async def test_any_answer_of_the_provider_counts_as_a_sign_of_life(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        clock.advance(HEARD_SECONDS)
        await provider.refresh_keys()
        await provider.answering_metadata()
        assert endpoints(fake) == ["discovery", "jwks"]

    async def test_a_provider_that_was_silent_is_checked_once_for_all_callers(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        clock.advance(HEARD_SECONDS)
        await asyncio.gather(*(provider.answering_metadata() for _ in range(50)))
        assert endpoints(fake) == ["discovery", "discovery"]

    async def test_a_provider_that_is_down_is_unavailable_even_when_its_metadata_is_cached(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        known = await provider.metadata()
        fake.bend.discovery.raw(503)
        clock.advance(HEARD_SECONDS)
        assert await code_of(provider.answering_metadata()) == "provider_error"
        assert await provider.metadata() is known
        assert provider.is_silent
        fake.bend.reset()
        clock.advance(2 * SILENCE_SECONDS)
        assert (await provider.answering_metadata()).token_endpoint == known.token_endpoint
        assert not provider.is_silent

    async def test_a_provider_that_is_down_is_checked_again_after_a_while_and_not_for_each_caller(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        fake.bend.discovery.raw(429)
        clock.advance(HEARD_SECONDS)
        fake.clear_hits()
        for _ in range(100):
            assert await code_of(provider.answering_metadata()) == "provider_error"
        assert len(fake.hits) == 1
        clock.advance(2 * SILENCE_SECONDS)
        assert await code_of(provider.answering_metadata()) == "provider_error"
        assert len(fake.hits) == 2

    async def test_an_error_from_the_token_endpoint_counts_as_an_answer(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        """Otherwise anybody who sends invented codes would cause a fetch of the document each time."""
        known = await provider.metadata()
        fake.bend.token.raw(429)
        assert await code_of(provider.request_token({"grant_type": "x"})) == "provider_error"
        assert await provider.answering_metadata() is known

    async def test_after_a_failed_call_the_provider_is_checked_before_the_next_sign_in(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        await provider.metadata()
        fake.bend.jwks.drop()
        fake.bend.discovery.raw(500)
        assert await code_of(provider.refresh_keys()) == "provider_unreachable"
        assert provider.is_silent
        assert await code_of(provider.answering_metadata()) == "provider_error"

    async def test_a_provider_that_hangs_does_not_keep_callers_waiting(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        clock.advance(HEARD_SECONDS)
        with fake.bend.discovery.hold():
            async with asyncio.timeout(2):
                assert await code_of(provider.answering_metadata(seconds=0.1)) == "provider_timeout"
        assert not provider.is_silent, "a sign-out has less patience than a sign-in, and must not speak for it"
        await provider.answering_metadata()

    @pytest.mark.parametrize("bend", [{"body": "<html>maintenance"}, {"json": {"issuer": "x"}}])
    async def test_an_unreadable_document_counts_as_an_answer_and_the_cached_one_is_used(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock, bend: dict[str, Any]
    ) -> None:
        known = await provider.metadata()
        fake.bend.discovery.raw(**bend)
        clock.advance(HEARD_SECONDS)
        assert await provider.answering_metadata() is known


class TestMetadata:
    async def test_metadata_is_not_fetched_before_it_is_needed(self, provider: Provider, fake: FakeProvider) -> None:
        assert not provider.is_known
        assert (provider.name, provider.issuer, fake.hits) == ("corp", fake.issuer, [])
        assert (await provider.metadata()).token_endpoint == fake.url + "/token"
        assert provider.is_known

    async def test_metadata_is_fetched_once_an_hour(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        clock.advance(METADATA_FRESH_SECONDS - 1)
        await provider.metadata()
        assert len(fake.hits) == 1
        clock.advance(1)
        await provider.metadata()
        assert len(fake.hits) == 2

    async def test_three_hundred_first_requests_share_one_discovery_and_one_key_set(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        await asyncio.gather(*(provider.keys.current() for _ in range(300)))
        assert endpoints(fake) == ["discovery", "jwks"]

    async def test_callers_that_wait_for_a_dead_provider_share_one_timeout(
        self, fake: FakeProvider, clock: FakeClock
    ) -> None:
        """Not one after the other, each for its own time-out."""
        provider = provider_of(fake, clock, http_timeout_seconds=0.3)
        with fake.bend.discovery.hold():
            async with asyncio.timeout(2):
                outcomes = await asyncio.gather(*(provider.metadata() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(outcome, ProviderUnavailable) for outcome in outcomes)
        assert len(fake.hits) == 1
        await provider.aclose()

    @pytest.mark.parametrize(
        ("bend", "code"),
        [
            ({"status": 404}, "provider_error"),
            ({"status": 500}, "provider_error"),
            ({"status": 302, "headers": {"location": "/jwks"}}, "provider_redirect"),
            ({"body": "<html>", "headers": {"content-type": "text/html"}}, "discovery_malformed"),
            ({"body": "[]"}, "discovery_malformed"),
            ({"json": {"issuer": "https://evil.example"}}, "discovery_issuer"),
            ({"json": {}}, "discovery_issuer"),
        ],
    )
    async def test_metadata_that_is_unreachable_or_invalid_is_an_outage(
        self, provider: Provider, fake: FakeProvider, bend: dict[str, Any], code: str
    ) -> None:
        fake.bend.discovery.raw(**bend)
        with pytest.raises(ProviderUnavailable) as failed:
            await provider.metadata()
        assert failed.value.code == code
        assert not provider.is_known

    async def test_no_endpoint_from_a_document_of_another_issuer_is_used(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        fake.bend.discovery.json(lambda document: document | {"issuer": document["issuer"] + "/"})
        assert await code_of(provider.request_token({"grant_type": "refresh_token"})) == "discovery_issuer"
        assert endpoints(fake) == ["discovery"]

    async def test_an_endpoint_on_another_host_is_never_called(self, provider: Provider, fake: FakeProvider) -> None:
        with FakeProvider() as evil:
            fake.bend.discovery.json(lambda document: document | {"token_endpoint": evil.url + "/token"})
            assert await code_of(provider.request_token({})) == "discovery_endpoint"
            assert evil.hits == []

    @pytest.mark.parametrize("bend", [{"status": 503}, {"body": "<html>maintenance"}, {"json": {"issuer": "x"}}])
    async def test_cached_metadata_is_used_for_a_day_while_no_new_document_is_available(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock, bend: dict[str, Any]
    ) -> None:
        known = await provider.metadata()
        fake.bend.discovery.raw(**bend)
        clock.advance(METADATA_FRESH_SECONDS)
        assert await provider.metadata() is known
        clock.set(clock() + METADATA_KEEP_SECONDS - METADATA_FRESH_SECONDS)
        assert await provider.metadata() is known
        clock.advance(METADATA_RETRY_SECONDS + 1)
        with pytest.raises(ProviderUnavailable):
            await provider.metadata()

    async def test_metadata_is_requested_again_after_a_pause_when_the_provider_is_down(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        fake.bend.discovery.raw(503)
        clock.advance(METADATA_FRESH_SECONDS)
        for _ in range(20):
            await provider.metadata()
        assert len(fake.hits) == 2
        clock.advance(METADATA_RETRY_SECONDS)
        fake.bend.reset()
        await provider.metadata()
        clock.advance(METADATA_RETRY_SECONDS)
        await provider.metadata()
        assert len(fake.hits) == 3


class TestSplitHorizon:
    async def test_requests_to_the_host_of_the_issuer_go_to_the_backchannel_address(self, clock: FakeClock) -> None:
        with FakeProvider(issuer="https://idp.example.com/realms/corp", issuer_path="/realms/corp") as fake:
            provider = provider_of(fake, clock, backchannel_url=fake.url)
            metadata = await provider.metadata()
            assert metadata.authorization_endpoint == "https://idp.example.com/realms/corp/authorize"
            assert await provider.keys.current()
            assert [hit.path for hit in fake.hits] == [
                "/realms/corp/.well-known/openid-configuration",
                "/realms/corp/jwks",
            ]
            await provider.aclose()

    async def test_an_endpoint_may_have_the_backchannel_address(self, fake: FakeProvider, clock: FakeClock) -> None:
        with FakeProvider(issuer=fake.issuer) as inside:
            inside.bend.discovery.json(lambda document: document | {"jwks_uri": inside.url + "/jwks"})
            provider = provider_of(fake, clock, backchannel_url=inside.url)
            assert await provider.keys.current()
            assert endpoints(inside) == ["discovery", "jwks"]
            assert fake.hits == []
            await provider.aclose()

    async def test_an_allowed_host_is_reached_directly(self, fake: FakeProvider, clock: FakeClock) -> None:
        with FakeProvider() as keys:
            fake.bend.discovery.json(lambda document: document | {"jwks_uri": keys.url + "/jwks"})
            provider = provider_of(fake, clock, allowed_hosts=(keys.url.removeprefix("http://"),))
            assert await provider.keys.current()
            assert endpoints(keys) == ["jwks"]
            await provider.aclose()
