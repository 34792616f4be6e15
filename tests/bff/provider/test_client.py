"""One identity provider over sockets: what is believed of it, and what happens while it is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bff.errors import InvalidToken, ProviderUnavailable
from bff.oidc.id_token import IdTokenExpectation
from bff.oidc.tokens import GrantRefused, TokenResponse
from bff.provider.client import (
    HEARD_SECONDS,
    METADATA_FRESH_SECONDS,
    METADATA_KEEP_SECONDS,
    METADATA_RETRY_SECONDS,
    SILENCE_SECONDS,
    Provider,
    http_client_for,
)
from tests.bff.factories import CLIENT_ID, provider_settings
from tests.fakes import DEFAULT_CLIENT_SECRET, Client, FakeClock, FakeProvider


@pytest.fixture(scope="module")
def running() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeProvider) -> FakeProvider:
    running.bend.reset()
    running.clear_hits()
    return running


def provider_of(fake: FakeProvider, clock: FakeClock, **over: Any) -> Provider:
    table = {"issuer": fake.issuer, "client_secret": DEFAULT_CLIENT_SECRET, "http_timeout_seconds": 5} | over
    settings = provider_settings(**table)
    return Provider("corp", settings, http=http_client_for(settings), clock=clock)


@pytest.fixture
async def provider(fake: FakeProvider, clock: FakeClock) -> AsyncIterator[Provider]:
    made = provider_of(fake, clock)
    yield made
    await made.aclose()


def endpoints(fake: FakeProvider) -> list[str]:
    return [hit.endpoint for hit in fake.hits]


async def code_of(work: Any) -> str:
    with pytest.raises((ProviderUnavailable, InvalidToken)) as failed:
        await work
    return failed.value.code


class TestAnswering:
    """Whether a browser may be sent there."""

    async def test_a_provider_that_has_just_answered_is_not_asked(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        known = await provider.answering_metadata()
        clock.advance(HEARD_SECONDS - 1)
        assert await provider.answering_metadata() is known
        assert endpoints(fake) == ["discovery"]

    async def test_any_answer_of_its_counts(self, provider: Provider, fake: FakeProvider, clock: FakeClock) -> None:
        await provider.metadata()
        clock.advance(HEARD_SECONDS)
        await provider.refresh_keys()
        await provider.answering_metadata()
        assert endpoints(fake) == ["discovery", "jwks"]

    async def test_after_a_silence_it_is_asked_once_for_all(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.metadata()
        clock.advance(HEARD_SECONDS)
        await asyncio.gather(*(provider.answering_metadata() for _ in range(50)))
        assert endpoints(fake) == ["discovery", "discovery"]

    async def test_one_that_is_down_is_unavailable_however_well_it_is_known(
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

    async def test_one_that_is_down_is_asked_again_after_a_while_and_not_for_each_who_comes(
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

    async def test_a_refusal_elsewhere_is_an_answer(self, provider: Provider, fake: FakeProvider) -> None:
        """Else whoever sends junk codes would have the document fetched each time."""
        known = await provider.metadata()
        fake.bend.token.raw(429)
        assert await code_of(provider.request_token({"grant_type": "x"})) == "provider_error"
        assert await provider.answering_metadata() is known

    async def test_a_call_that_failed_makes_it_doubtful_at_once(self, provider: Provider, fake: FakeProvider) -> None:
        await provider.metadata()
        fake.bend.jwks.drop()
        fake.bend.discovery.raw(500)
        assert await code_of(provider.refresh_keys()) == "provider_unreachable"
        assert provider.is_silent
        assert await code_of(provider.answering_metadata()) == "provider_error"

    async def test_one_that_hangs_keeps_nobody_waiting(
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
    async def test_nonsense_is_an_answer_and_what_is_known_still_counts(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock, bend: dict[str, Any]
    ) -> None:
        known = await provider.metadata()
        fake.bend.discovery.raw(**bend)
        clock.advance(HEARD_SECONDS)
        assert await provider.answering_metadata() is known


class TestMetadata:
    async def test_nothing_is_fetched_before_it_is_needed(self, provider: Provider, fake: FakeProvider) -> None:
        assert not provider.is_known
        assert (provider.name, provider.issuer, fake.hits) == ("corp", fake.issuer, [])
        assert (await provider.metadata()).token_endpoint == fake.url + "/token"
        assert provider.is_known

    async def test_it_is_fetched_once_an_hour(self, provider: Provider, fake: FakeProvider, clock: FakeClock) -> None:
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

    async def test_all_who_wait_for_a_dead_provider_wait_once(self, fake: FakeProvider, clock: FakeClock) -> None:
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
    async def test_a_document_that_cannot_be_had_or_believed_is_an_outage(
        self, provider: Provider, fake: FakeProvider, bend: dict[str, Any], code: str
    ) -> None:
        fake.bend.discovery.raw(**bend)
        with pytest.raises(ProviderUnavailable) as failed:
            await provider.metadata()
        assert failed.value.code == code
        assert not provider.is_known

    async def test_no_endpoint_of_a_document_of_another_issuer_is_used(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        fake.bend.discovery.json(lambda document: document | {"issuer": document["issuer"] + "/"})
        assert await code_of(provider.request_token({"grant_type": "refresh_token"})) == "discovery_issuer"
        assert endpoints(fake) == ["discovery"]

    async def test_an_endpoint_elsewhere_is_never_called(self, provider: Provider, fake: FakeProvider) -> None:
        with FakeProvider() as evil:
            fake.bend.discovery.json(lambda document: document | {"token_endpoint": evil.url + "/token"})
            assert await code_of(provider.request_token({})) == "discovery_endpoint"
            assert evil.hits == []

    @pytest.mark.parametrize("bend", [{"status": 503}, {"body": "<html>maintenance"}, {"json": {"issuer": "x"}}])
    async def test_what_was_known_serves_for_a_day_while_nothing_better_can_be_had(
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

    async def test_a_provider_that_is_down_is_asked_again_after_a_pause(
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
    async def test_the_issuers_host_is_reached_by_way_of_the_backchannel(self, clock: FakeClock) -> None:
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

    async def test_an_endpoint_may_name_the_backchannel_itself(self, fake: FakeProvider, clock: FakeClock) -> None:
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


class TestKeys:
    def expectation(self, fake: FakeProvider, clock: FakeClock) -> IdTokenExpectation:
        return IdTokenExpectation(
            issuer=fake.issuer, client_id=CLIENT_ID, alg="RS256", now=clock(), clock_skew=60, nonce=None
        )

    def id_token(self, fake: FakeProvider, clock: FakeClock) -> str:
        now = int(clock())
        return fake.mint({"iss": fake.issuer, "aud": CLIENT_ID, "sub": "alice", "iat": now, "exp": now + 60})

    async def test_an_id_token_is_validated_across_two_rotations_in_a_row(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        for _ in range(3):
            claims = await provider.validate_id_token(self.id_token(fake, clock), self.expectation(fake, clock))
            assert claims["sub"] == "alice"
            fake.rotate_keys(keep_old=False)
        assert endpoints(fake).count("jwks") == 3

    @pytest.mark.parametrize(
        "bend",
        [{"status": 404}, {"status": 500}, {"body": "<html>"}, {"json": {"keys": []}}, {"json": {}}, {"json": []}],
    )
    async def test_a_key_set_without_a_usable_key_is_an_outage_and_keeps_the_last_good_one(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock, bend: dict[str, Any]
    ) -> None:
        known = await provider.refresh_keys()
        fake.bend.jwks.raw(**bend)
        with pytest.raises(ProviderUnavailable):
            await provider.refresh_keys()
        clock.advance(700)
        assert await provider.keys.current() == known

    async def test_decoys_in_the_key_set_do_no_harm(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        fake.options.jwks_decoys = True
        try:
            assert await provider.validate_id_token(self.id_token(fake, clock), self.expectation(fake, clock))
        finally:
            fake.options.jwks_decoys = False


class TestCalls:
    async def test_a_refused_grant_is_an_outcome(self, provider: Provider, fake: FakeProvider) -> None:
        answer = await provider.request_token({"grant_type": "refresh_token", "refresh_token": "unknown"})
        assert answer == GrantRefused("invalid_grant", 400)
        (hit,) = fake.hits_of("token")
        assert hit.client_auth == "client_secret_basic"

    async def test_a_grant_is_never_repeated(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.token.drop()
        assert await code_of(provider.request_token({"grant_type": "client_credentials"})) == "provider_unreachable"
        assert len(fake.hits_of("token")) == 1

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
    async def test_each_call_proves_the_client_by_the_configured_method(
        self, fake: FakeProvider, clock: FakeClock, method: str
    ) -> None:
        fake.clients["other"] = Client("other", "other-unit-test-secret", method)  # type: ignore[arg-type]  # a name
        provider = provider_of(
            fake, clock, client_id="other", client_secret="other-unit-test-secret", client_auth=method
        )
        await provider.request_token({"grant_type": "client_credentials"})
        await provider.revoke("r-1")
        hits = fake.hits_of("token", "revocation")
        assert [hit.client_auth for hit in hits] == [method, method]
        assert not any("secret" in str(hit.query) for hit in hits)
        await provider.aclose()

    async def test_userinfo_is_asked_with_the_token_in_the_header(self, provider: Provider, fake: FakeProvider) -> None:
        answer = await provider.request_token({"grant_type": "client_credentials", "scope": "openid"})
        assert isinstance(answer, TokenResponse)
        fake.bend.userinfo.raw(json={"sub": "alice", "name": "Alice"}, process=True)
        assert await provider.fetch_userinfo(answer.access_token, sub="alice") == {"sub": "alice", "name": "Alice"}
        (hit,) = fake.hits_of("userinfo")
        assert hit.headers["authorization"] == f"Bearer {answer.access_token}"
        assert not hit.query

    async def test_userinfo_that_is_refused_or_of_another_person_is_an_invalid_token(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        assert await code_of(provider.fetch_userinfo("unknown", sub="alice")) == "userinfo_refused"
        fake.bend.userinfo.raw(json={"sub": "bob"})
        assert await code_of(provider.fetch_userinfo("unknown", sub="alice")) == "userinfo_sub"

    async def test_signed_userinfo_under_a_key_not_seen_yet_is_believed(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.keys.current()
        fake.rotate_keys(keep_old=False)
        signed = fake.mint({"iss": fake.issuer, "aud": CLIENT_ID, "sub": "alice", "name": "Alice"})
        fake.bend.userinfo.raw(headers={"content-type": "application/jwt"}, body=signed)
        assert (await provider.fetch_userinfo("a", sub="alice"))["name"] == "Alice"
        fake.bend.userinfo.raw(headers={"content-type": "application/jwt"}, body=signed[:-8] + "AAAAAAAA")
        assert await code_of(provider.fetch_userinfo("a", sub="alice")) == "userinfo_signature"

    async def test_a_provider_without_userinfo_says_nothing_there(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.json(lambda document: document | {"userinfo_endpoint": None})
        assert await provider.fetch_userinfo("a", sub="alice") == {}
        assert fake.hits_of("userinfo") == []


class TestPushedRequests:
    async def test_give_a_request_uri(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.par.raw(201, json={"request_uri": "urn:x:1", "expires_in": 60})
        assert await provider.push_authorization({"state": "s"}) == "urn:x:1"
        (hit,) = fake.hits_of("par")
        assert (hit.form["state"], hit.client_auth) == ("s", "client_secret_basic")

    @pytest.mark.parametrize(
        ("bend", "code"),
        [
            ({"status": 400, "json": {"error": "invalid_request"}}, "par_refused"),
            ({"status": 401}, "par_refused"),
            ({"status": 500}, "provider_error"),
            ({"status": 201, "json": {}}, "par_refused"),
            ({"status": 201, "json": {"request_uri": 5}}, "par_refused"),
            ({"status": 201, "json": {"request_uri": ""}}, "par_refused"),
            ({"status": 201, "json": {"request_uri": "a\nb"}}, "par_refused"),
            ({"status": 201, "json": {"request_uri": "x" * 2049}}, "par_refused"),
            ({"status": 201, "body": "<html>"}, "par_malformed"),
        ],
    )
    async def test_that_fail_are_an_outage_and_never_a_plain_request(
        self, provider: Provider, fake: FakeProvider, bend: dict[str, Any], code: str
    ) -> None:
        fake.bend.par.raw(**bend)
        with pytest.raises(ProviderUnavailable) as failed:
            await provider.push_authorization({"state": "s"})
        assert failed.value.code == code

    async def test_need_an_endpoint(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.json(lambda document: document | {"pushed_authorization_request_endpoint": None})
        assert await code_of(provider.push_authorization({})) == "par_refused"


class TestRevocation:
    async def test_tells_whether_it_worked_and_is_never_an_error(self, provider: Provider, fake: FakeProvider) -> None:
        assert await provider.revoke("r-1")
        (hit,) = fake.hits_of("revocation")
        assert (hit.form["token"], hit.form["token_type_hint"]) == ("r-1", "refresh_token")
        for status in (500, 400, 302):
            fake.bend.revocation.raw(status, times=1)
            assert not await provider.revoke("r-1")

    async def test_of_a_silent_provider_is_given_up_after_two_seconds(
        self, fake: FakeProvider, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bff.provider.client.REVOCATION_SECONDS", 0.2)
        provider = provider_of(fake, clock)
        for bend in (fake.bend.discovery, fake.bend.revocation):
            with bend.hold():
                async with asyncio.timeout(2):
                    assert not await provider.revoke("r-1")
            bend.reset()
            await provider.metadata()
        await provider.aclose()

    async def test_where_there_is_none_does_nothing(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.json(lambda document: document | {"revocation_endpoint": None})
        assert not await provider.revoke("r-1")
        assert fake.hits_of("revocation") == []

    async def test_at_a_provider_that_is_down_does_nothing(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.raw(500)
        assert not await provider.revoke("r-1")
