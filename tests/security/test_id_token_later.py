"""IT: userinfo and refreshed ID tokens after the sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import OMIT, FakeClock, FakeProvider, is_grant
from tests.security.house import House
from tests.security.id_token_faults import Claims, with_claims
from tests.security.rejection import assert_rejected


@pytest.mark.parametrize("sub", ["bob", "", 5, None, ["alice"], "alice ", "Alice"])
def test_it_13_userinfo_of_another_person_is_refused(house: House, sub: Any) -> None:
    house.provider.bend.userinfo.json(lambda info: {**info, "sub": sub})
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), reason="userinfo_sub", token_hits=1)


def userinfo_jwt(house: House, **how: Any) -> tuple[dict[str, str], str]:
    claims = {"iss": house.provider.issuer, "aud": "vestibule", "sub": "alice", "roles": ["admin"]}
    return {"content-type": "application/jwt"}, house.provider.mint(claims, **how)


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256"])
def test_it_13_a_userinfo_jwt_needs_the_pinned_algorithm(house: House, alg: str) -> None:
    headers, token = userinfo_jwt(house, alg=alg)
    house.provider.bend.userinfo.raw(headers=headers, body=token)
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), token_hits=1)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"sub":"alice","sub":"bob"}', b'{"sub":"bob"}', b"null"])
def test_it_13_a_malformed_userinfo_answer_is_refused(house: House, body: bytes) -> None:
    house.provider.bend.userinfo.raw(headers={"content-type": "application/json"}, body=body)
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url), token_hits=1)


def test_it_13_a_userinfo_redirect_is_not_followed(house: House) -> None:
    with FakeProvider() as attacker:
        house.provider.bend.userinfo.raw(302, headers={"location": f"{attacker.url}/userinfo"})
        browser = house.browser()
        url = house.callback_url(browser)
        assert_rejected(house, lambda: browser.get(url), reason="provider_redirect", statuses=[503], token_hits=1)
        assert attacker.hits == []


def test_it_13_userinfo_cannot_override_claims_of_the_id_token_about_the_sign_in(house: House) -> None:
    lies = {"iss": "https://evil.example", "aud": "evil", "sid": "evil", "azp": "evil", "auth_time": 1, "acr": "9"}
    house.provider.bend.userinfo.json(lambda info: {**info, **lies})
    session = house.session_of(house.sign_in())
    assert session.identity.iss == house.provider.issuer
    assert session.sid == house.provider.logins("alice")[-1].sid
    assert session.identity.acr == "1"
    assert session.identity.auth_time > 1
    assert "evil" not in repr(session.identity)


REFRESH_LIES: dict[str, Claims] = {
    "another person": {"sub": "bob"},
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "other"},
    "two audiences": {"aud": ["vestibule", "other"]},
    "no sub": {"sub": OMIT},
    "expired": {"exp": 1},
}


@pytest.mark.parametrize("lie", REFRESH_LIES)
def test_it_14_a_refreshed_id_token_of_another_person_ends_the_session(
    timed_house: Callable[..., House], clock: FakeClock, lie: str
) -> None:
    house = timed_house()
    browser = house.sign_in()
    refreshed = is_grant("refresh_token")
    house.provider.bend.id_token.claims(with_claims(**REFRESH_LIES[lie]), when=refreshed)
    clock.advance(301)
    assert_rejected(house, lambda: browser.fetch(f"{house.url}/api/x"), statuses=[401], token_hits=1)
    assert not house.is_signed_in(browser)
    assert len(house.provider.hits_of("token")) == 2


def test_it_14_an_unsigned_id_token_in_a_refresh_ends_the_session(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.provider.bend.id_token.key(None, alg="none", when=is_grant("refresh_token"))
    clock.advance(301)
    assert_rejected(house, lambda: browser.fetch(f"{house.url}/api/x"), statuses=[401], token_hits=1)
    assert not house.is_signed_in(browser)
