"""Calls to an identity provider: keys, tokens, pushed requests, revocation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bff.errors import InvalidToken, ProviderUnavailable
from bff.oidc.id_token import IdTokenExpectation
from bff.oidc.tokens import GrantRefused, TokenResponse
from bff.provider.client import Provider
from tests.bff.factories import CLIENT_ID
from tests.bff.provider.calls import code_of, endpoints, provider_of
from tests.fakes import Client, FakeClock, FakeProvider


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

    async def test_keys_for_other_purposes_in_the_key_set_do_no_harm(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        fake.options.jwks_decoys = True
        try:
            assert await provider.validate_id_token(self.id_token(fake, clock), self.expectation(fake, clock))
        finally:
            fake.options.jwks_decoys = False


class TestCalls:
    async def test_a_refused_grant_is_returned_and_not_raised(self, provider: Provider, fake: FakeProvider) -> None:
        answer = await provider.request_token({"grant_type": "refresh_token", "refresh_token": "unknown"})
        assert answer == GrantRefused("invalid_grant", 400)
        (hit,) = fake.hits_of("token")
        assert hit.client_auth == "client_secret_basic"

    async def test_a_grant_is_never_repeated(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.token.drop()
        assert await code_of(provider.request_token({"grant_type": "client_credentials"})) == "provider_unreachable"
        assert len(fake.hits_of("token")) == 1

    @pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
    async def test_each_call_authenticates_the_client_with_the_configured_method(
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

    async def test_the_userinfo_request_has_the_token_in_the_header(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
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

    async def test_signed_userinfo_with_a_new_key_is_accepted(
        self, provider: Provider, fake: FakeProvider, clock: FakeClock
    ) -> None:
        await provider.keys.current()
        fake.rotate_keys(keep_old=False)
        signed = fake.mint({"iss": fake.issuer, "aud": CLIENT_ID, "sub": "alice", "name": "Alice"})
        fake.bend.userinfo.raw(headers={"content-type": "application/jwt"}, body=signed)
        assert (await provider.fetch_userinfo("a", sub="alice"))["name"] == "Alice"
        fake.bend.userinfo.raw(headers={"content-type": "application/jwt"}, body=signed[:-8] + "AAAAAAAA")
        assert await code_of(provider.fetch_userinfo("a", sub="alice")) == "userinfo_signature"

    @pytest.mark.parametrize(("alg", "code"), [("RS256", ""), ("", "userinfo_alg"), ("PS256", "userinfo_alg")])
    async def test_userinfo_may_be_signed_with_an_algorithm_of_its_own(
        self, fake: FakeProvider, clock: FakeClock, alg: str, code: str
    ) -> None:
        provider = provider_of(fake, clock, id_token_alg="ES256", userinfo_alg=alg)
        signed = fake.mint({"iss": fake.issuer, "aud": CLIENT_ID, "sub": "alice"}, alg="RS256")
        fake.bend.userinfo.raw(headers={"content-type": "application/jwt"}, body=signed)
        if code:
            with pytest.raises(InvalidToken) as refused:
                await provider.fetch_userinfo("a", sub="alice")
            assert (refused.value.code, refused.value.found) == (code, "RS256")
        else:
            assert (await provider.fetch_userinfo("a", sub="alice"))["sub"] == "alice"
        await provider.aclose()

    async def test_a_provider_without_a_userinfo_endpoint_gives_no_userinfo(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        fake.bend.discovery.json(lambda document: document | {"userinfo_endpoint": None})
        assert await provider.fetch_userinfo("a", sub="alice") == {}
        assert fake.hits_of("userinfo") == []


class TestPushedRequests:
    async def test_a_pushed_request_gives_a_request_uri(self, provider: Provider, fake: FakeProvider) -> None:
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
    async def test_a_failed_pushed_request_is_an_outage_and_not_a_plain_request(
        self, provider: Provider, fake: FakeProvider, bend: dict[str, Any], code: str
    ) -> None:
        fake.bend.par.raw(**bend)
        with pytest.raises(ProviderUnavailable) as failed:
            await provider.push_authorization({"state": "s"})
        assert failed.value.code == code

    async def test_a_pushed_request_needs_an_endpoint(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.json(lambda document: document | {"pushed_authorization_request_endpoint": None})
        assert await code_of(provider.push_authorization({})) == "par_refused"


class TestRevocation:
    async def test_a_revocation_returns_whether_it_worked_and_raises_no_error(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        assert await provider.revoke("r-1")
        (hit,) = fake.hits_of("revocation")
        assert (hit.form["token"], hit.form["token_type_hint"]) == ("r-1", "refresh_token")
        for status in (500, 400, 302):
            fake.bend.revocation.raw(status, times=1)
            assert not await provider.revoke("r-1")

    async def test_a_revocation_at_a_silent_provider_ends_after_two_seconds(
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

    async def test_a_revocation_without_an_endpoint_does_nothing(self, provider: Provider, fake: FakeProvider) -> None:
        fake.bend.discovery.json(lambda document: document | {"revocation_endpoint": None})
        assert not await provider.revoke("r-1")
        assert fake.hits_of("revocation") == []

    async def test_a_revocation_at_a_provider_that_is_down_does_nothing(
        self, provider: Provider, fake: FakeProvider
    ) -> None:
        fake.bend.discovery.raw(500)
        assert not await provider.revoke("r-1")
