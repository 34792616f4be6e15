"""The provider's token, revocation and userinfo endpoints, and what its tokens say."""

from __future__ import annotations

import base64
import hashlib

import httpx
import pytest

from bff.bearer import JWTBearer
from bff.oidc.id_token import IdTokenExpectation, validate_id_token
from bff.oidc.jwks import parse_jwks
from bff.testing import FakeClock, FakeProvider
from tests.bff.fake_provider.relying_party import CALLBACK, VERIFIER, RelyingParty, claims_of, header_of, sent_back


@pytest.fixture
def tokens(party: RelyingParty) -> dict[str, str]:
    return party.sign_in()


def test_the_id_token_passes_every_check_of_the_sign_in(
    provider: FakeProvider, tokens: dict[str, str], clock: FakeClock
) -> None:
    keys = parse_jwks(httpx.get(provider.jwks_url).json())
    assert header_of(tokens["id_token"]) == {"alg": "ES256", "kid": keys[0].kid, "typ": "JWT"}
    expected = IdTokenExpectation(
        issuer=provider.issuer,
        client_id="vestibule",
        alg="ES256",
        nonce="the-nonce",
        access_token=tokens["access_token"],
        now=clock(),
        clock_skew=0,
    )
    validate_id_token(tokens["id_token"], keys=keys, expected=expected)
    claims = claims_of(tokens["id_token"])
    assert claims["auth_time"] == int(clock())
    assert claims["roles"] == ["analyst", "admin"]
    digest = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


async def test_an_api_accepts_the_access_token(
    provider: FakeProvider, tokens: dict[str, str], clock: FakeClock
) -> None:
    assert header_of(tokens["access_token"])["typ"] == "at+jwt"
    bearer = JWTBearer(provider.issuer, "api", jwks_url=provider.jwks_url, algorithms=("ES256",), clock=clock)
    caller = await bearer.verify(tokens["access_token"])
    assert (caller.sub, caller.roles) == ("alice", ("analyst", "admin"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "another-verifier-of-forty-three-characters!"}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_grant"),
        ({"code": "never-given-out"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
    ids=["another verifier", "no verifier", "another address", "no address", "another code", "another grant type"],
)
def test_a_code_works_only_with_the_parameters_of_its_request(
    party: RelyingParty, changes: dict[str, str], error: str
) -> None:
    refused = party.exchange(party.browser.submit(party.ask(), "#person-alice"), **changes)
    assert (refused.status_code, refused.json()["error"]) == (400, error)


def test_a_wrong_verifier_makes_the_code_unusable(party: RelyingParty) -> None:
    back = party.browser.submit(party.ask(), "#person-alice")
    assert party.exchange(back, code_verifier="x" * 43).status_code == 400
    assert party.exchange(back).status_code == 400


def test_a_code_is_valid_for_a_minute(party: RelyingParty, clock: FakeClock) -> None:
    early, late = (party.browser.submit(party.ask(prompt="login"), "#person-alice") for _ in range(2))
    clock.advance(59)
    assert party.exchange(early).status_code == 200
    clock.advance(1)
    assert party.exchange(late).json()["error"] == "invalid_grant"


def test_a_second_use_of_a_code_revokes_its_tokens(party: RelyingParty) -> None:
    back = party.browser.submit(party.ask(), "#person-alice")
    tokens = party.exchange(back).json()
    assert party.userinfo(tokens["access_token"]).status_code == 200
    assert party.exchange(back).json()["error"] == "invalid_grant"
    assert party.userinfo(tokens["access_token"]).status_code == 401
    assert party.refresh(tokens["refresh_token"]).status_code == 400


def test_a_refresh_gives_a_new_refresh_token_and_a_new_id_token(
    party: RelyingParty, tokens: dict[str, str], provider: FakeProvider, clock: FakeClock
) -> None:
    clock.advance(200)
    provider.people["alice"].roles = ["viewer"]
    fresh = party.refresh(tokens["refresh_token"]).json()
    assert fresh["refresh_token"] != tokens["refresh_token"]
    before, after = claims_of(tokens["id_token"]), claims_of(fresh["id_token"])
    assert [before[name] for name in ("iss", "sub", "aud", "sid", "auth_time")] == [
        after[name] for name in ("iss", "sub", "aud", "sid", "auth_time")
    ]
    assert after["iat"] == before["iat"] + 200
    assert "nonce" not in after
    assert after["roles"] == claims_of(fresh["access_token"])["roles"] == ["viewer"]
    assert party.refresh(fresh["refresh_token"]).status_code == 200


def test_a_second_use_of_a_refresh_token_revokes_all_tokens_of_its_sign_in(
    party: RelyingParty, tokens: dict[str, str]
) -> None:
    fresh = party.refresh(tokens["refresh_token"]).json()
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert party.refresh(fresh["refresh_token"]).json()["error"] == "invalid_grant"
    assert party.userinfo(fresh["access_token"]).status_code == 401


def test_a_second_use_of_a_refresh_token_leaves_other_sign_ins_alone(
    party: RelyingParty, tokens: dict[str, str]
) -> None:
    second = party.exchange(party.ask()).json()
    for _ in range(2):
        party.refresh(tokens["refresh_token"])
    assert party.refresh(second["refresh_token"]).status_code == 200


def test_a_refresh_can_ask_for_fewer_scopes_but_not_for_more(party: RelyingParty, tokens: dict[str, str]) -> None:
    wider = party.refresh(tokens["refresh_token"], scope="openid admin")
    assert wider.json()["error"] == "invalid_scope"
    narrow = party.refresh(tokens["refresh_token"], scope="openid").json()
    assert narrow["scope"] == claims_of(narrow["access_token"])["scope"] == "openid"


BASIC = base64.b64encode(b"vestibule:wrong").decode()


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ({}, {}, 401),
        ({"client_id": "vestibule"}, {}, 401),
        ({"client_id": "vestibule", "client_secret": "wrong"}, {}, 401),
        ({"client_id": "vestibule", "client_secret": "ü"}, {}, 401),
        ({}, {"Authorization": f"Basic {BASIC}"}, 401),
        ({}, {"Authorization": "Basic ???"}, 401),
        ({"client_secret": "x"}, {"Authorization": f"Basic {BASIC}"}, 400),
        ({"client_id": "another"}, {"Authorization": f"Basic {BASIC}"}, 400),
    ],
    ids=["none", "no secret", "wrong secret", "not ascii", "wrong basic", "broken basic", "two places", "two clients"],
)
@pytest.mark.parametrize("path", ["/token", "/revoke"])
def test_only_a_client_with_the_right_secret_gets_tokens(
    provider: FakeProvider, path: str, form: dict[str, str], headers: dict[str, str], status: int
) -> None:
    sent = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x"} | form
    refused = httpx.post(provider.issuer + path, data=sent, headers=headers)
    assert refused.status_code == status
    assert refused.json()["error"] == ("invalid_client" if status == 401 else "invalid_request")


def test_the_client_secret_may_also_be_in_the_form(party: RelyingParty, provider: FakeProvider) -> None:
    code = sent_back(party.browser.submit(party.ask(), "#person-alice"))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form |= {"client_id": "vestibule", "client_secret": provider.client_secret}
    assert httpx.post(provider.issuer + "/token", data=form).status_code == 200


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
def test_a_revocation_ends_the_tokens_of_the_sign_in(party: RelyingParty, tokens: dict[str, str], which: str) -> None:
    assert party.post("/revoke", token=tokens[which]).status_code == 200
    assert party.userinfo(tokens["access_token"]).status_code == 401
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_revocation_of_an_unknown_token_succeeds(party: RelyingParty, tokens: dict[str, str]) -> None:
    assert party.post("/revoke", token="unknown").status_code == 200
    assert party.post("/revoke", token=tokens["id_token"]).status_code == 200
    assert party.userinfo(tokens["access_token"]).status_code == 200
    assert party.post("/revoke").json()["error"] == "invalid_request"


def test_userinfo_has_the_same_claims_as_the_id_token(
    party: RelyingParty, tokens: dict[str, str], provider: FakeProvider
) -> None:
    told = party.userinfo(tokens["access_token"]).json()
    assert told == provider.people["alice"].claims()
    assert told.items() <= claims_of(tokens["id_token"]).items()


def test_userinfo_needs_a_valid_access_token_of_this_provider(
    party: RelyingParty, tokens: dict[str, str], provider: FakeProvider, clock: FakeClock
) -> None:
    for wrong in ("x", tokens["id_token"], tokens["access_token"][:-4] + "AAAA"):
        refused = party.userinfo(wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
        assert refused.headers["www-authenticate"].startswith("Bearer")
    assert party.userinfo(provider.access_token("bob")).json()["sub"] == "bob"
    clock.advance(provider.seconds)
    assert party.userinfo(tokens["access_token"]).status_code == 401


def test_after_a_key_rotation_tokens_are_signed_with_the_new_key(party: RelyingParty, provider: FakeProvider) -> None:
    before = parse_jwks(httpx.get(provider.jwks_url).json())
    provider.rotate_keys()
    after = parse_jwks(httpx.get(provider.jwks_url).json())
    assert before[0].kid != after[0].kid == header_of(party.sign_in()["id_token"])["kid"]
