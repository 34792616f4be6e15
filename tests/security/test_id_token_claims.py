"""IT: the claims of an ID token, each with the values that are refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import OMIT, FakeClock, FakeProvider
from tests.front_door import provider_table
from tests.payloads.audiences import AUDIENCES, PROJECT, audience_cases
from tests.payloads.id_tokens import FAULTS, broken_claims
from tests.security.house import House
from tests.security.id_token_faults import Change, Claims, assert_login_rejected, with_claims
from tests.security.rejection import assert_rejected


def bend_claims(house: House, change: Change) -> None:
    house.provider.bend.id_token.claims(change)


@pytest.mark.parametrize("fault", FAULTS)
def test_it_5_to_it_9_one_wrong_claim_is_enough_to_refuse_the_sign_in(house: House, fault: str) -> None:
    client_id = house.provider.client.client_id
    expected, _ = broken_claims(issuer="", client_id=client_id, nonce="", now=0)[fault]

    def change(claims: Claims) -> Claims:
        own = {"issuer": house.provider.issuer, "client_id": client_id, "nonce": claims["nonce"]}
        return claims | broken_claims(**own, now=time.time())[fault][1]

    bend_claims(house, change)
    assert_login_rejected(house, reason=expected)


@pytest.mark.parametrize("claims", [{"aud": ["vestibule"]}, {"azp": "vestibule"}])
def test_it_6_an_audience_list_with_only_this_client_and_its_azp_is_accepted(house: House, claims: Claims) -> None:
    bend_claims(house, with_claims(**claims))
    house.sign_in()


@pytest.mark.parametrize("case", AUDIENCES)
def test_it_6_an_additional_audience_is_accepted_only_where_it_is_trusted(
    build_house: Callable[..., House], provider: FakeProvider, case: str
) -> None:
    trusted, claims, code = audience_cases(provider.client.client_id)[case]
    house = build_house(providers={"corp": provider_table(provider, par="off", trusted_audiences=trusted)})
    bend_claims(house, with_claims(**claims))
    if not code:
        house.sign_in()
        return
    assert_login_rejected(house, reason=f"id_token_{code}")


def test_it_6_a_refused_audience_is_in_the_log_and_not_on_the_page(house: House) -> None:
    bend_claims(house, with_claims(aud=["vestibule", PROJECT]))
    browser = house.browser()
    url = house.callback_url(browser)
    answer = assert_rejected(house, lambda: browser.get(url), reason="id_token_aud", token_hits=1)
    assert PROJECT not in answer.text
    assert any(PROJECT in str(event) and "trusted_audiences" in str(event) for event in house.audit)


@pytest.mark.parametrize("claim", ["exp", "iat"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_7_times_must_be_finite_numbers(house: House, claim: str, value: float) -> None:
    bend_claims(house, with_claims(**{claim: value}))
    assert_login_rejected(house)


@pytest.mark.parametrize(
    ("claim", "seconds", "accepted"),
    [
        ("exp", -61, False),
        ("exp", -55, True),
        ("iat", 65, False),
        ("iat", 55, True),
        ("iat", -300, True),
        ("iat", -600, True),
        ("iat", -601, False),
        ("iat", -31_536_000, False),
        ("nbf", -300, True),
        ("nbf", 65, False),
        ("nbf", 55, True),
    ],
)
def test_it_7_times_are_checked_with_the_leeway_for_clocks_and_providers(
    timed_house: Callable[..., House], clock: FakeClock, claim: str, seconds: float, accepted: bool
) -> None:
    house = timed_house()
    bend_claims(house, with_claims(**{claim: clock() + seconds}))
    if accepted:
        house.sign_in()
    else:
        assert_login_rejected(house, reason=f"id_token_{claim}")


def test_it_8_the_nonce_of_another_sign_in_is_refused(house: House) -> None:
    other = house.start_login(house.browser()).headers["location"].partition("nonce=")[2].partition("&")[0]
    bend_claims(house, with_claims(nonce=other))
    assert_login_rejected(house, reason="id_token_nonce")


def test_it_9_the_same_sub_at_another_provider_is_another_person(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider(auto_login="alice") as partner:
        tables = {name: provider_table(fake, par="off") for name, fake in (("corp", provider), ("partner", partner))}
        house = build_house(providers=tables)
        seen = {}
        for name in tables:
            browser = house.sign_in(path=f"/auth/login?provider={name}")
            browser.fetch(f"{house.url}/api/me")
            assert house.who(browser) == "alice"
            seen[name] = [house.upstream.last.header(f"x-auth-request-{field}") for field in ("id", "user")]
        assert seen["corp"][0] != seen["partner"][0]
        assert [user for _, user in seen.values()] == ["corp:alice", "partner:alice"]


EMAILS: dict[str, Claims] = {
    "two at signs": {"email": "a@evil.example@corp.example"},
    "list in one": {"email": "a@corp.example,e@evil.example"},
    "list in one, ours last": {"email": "e@evil.example,a@corp.example"},
    "angle brackets": {"email": "<a@evil.example>a@corp.example"},
    "unverified": {"email": "a@corp.example", "email_verified": False},
    "verified in words": {"email": "a@corp.example", "email_verified": "yes"},
    "verified not said": {"email": "a@corp.example", "email_verified": OMIT},
    "homoglyph": {"email": "a@c\u043erp.example"},
    "sub-domain": {"email": "a@evil.corp.example"},
    "longer": {"email": "a@corp.example.evil.example"},
    "shorter": {"email": "a@orp.example"},
    "glued": {"email": "a@evilcorp.example"},
    "space": {"email": "a@evil.example a@corp.example"},
    "trailing dot": {"email": "a@corp.example."},
    "line break": {"email": "a@evil.example\n@corp.example"},
    "list": {"email": ["a@corp.example"]},
    "missing": {"email": OMIT},
    "username": {"email": OMIT, "preferred_username": "a@corp.example"},
}


@pytest.mark.parametrize("case", EMAILS)
def test_it_9_an_unverified_or_strange_email_meets_no_domain_rule(house: House, case: str) -> None:
    claims = EMAILS[case]
    bend_claims(house, with_claims(**claims))
    kept = {name: value for name, value in claims.items() if value is not OMIT}
    house.provider.bend.userinfo.json(
        lambda info: {**{key: value for key, value in info.items() if key not in claims}, **kept}
    )
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 403
    assert house.upstream.requests_to("/domain/x") == []


def test_it_9_a_verified_email_of_the_domain_meets_the_domain_rule(house: House) -> None:
    house.provider.bend.userinfo.json(lambda info: {**info, "email": "Ada@CORP.example"})
    browser = house.sign_in()
    assert browser.get(f"{house.url}/domain/x").status_code == 200


@pytest.mark.parametrize("value", ["AAAA", 5, [], {}])
def test_it_11_at_hash_must_match_the_access_token(house: House, value: Any) -> None:
    bend_claims(house, with_claims(at_hash=value))
    assert_login_rejected(house, reason="id_token_at_hash")


@pytest.mark.parametrize("value", ["AAAA", 5, [], {}])
def test_it_11_c_hash_must_match_the_code(house: House, value: Any) -> None:
    bend_claims(house, with_claims(c_hash=value))
    assert_login_rejected(house, reason="id_token_c_hash")


@pytest.mark.parametrize("auth_time", [OMIT, "now", 0, -1, True])
def test_it_11_auth_time_is_checked_when_max_age_was_requested(house: House, auth_time: Any) -> None:
    bend_claims(house, with_claims(auth_time=auth_time))
    browser = house.browser()
    url = house.callback_url(browser, max_age="60")
    assert_rejected(house, lambda: browser.get(url), reason="id_token_auth_time", token_hits=1)


def test_it_11_a_lower_acr_than_requested_is_refused(build_house: Callable[..., House]) -> None:
    house = build_house()
    routes = [
        {"id": "vault", "path": "/", "upstream": house.upstream.url, "kind": "page", "require": {"acr_any": ["2"]}}
    ]
    strict = build_house(routes=routes)
    browser = strict.browser()
    url = strict.callback_url(browser, return_to="/vault")
    assert_rejected(strict, lambda: browser.get(url), reason="id_token_acr", token_hits=1)
