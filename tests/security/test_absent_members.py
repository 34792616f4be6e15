"""Null and empty text are absent in every message that a provider or a caller sends, at running doors and APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from bff.bearer import JWTBearer
from tests.fakes import OMIT, FakeClock, FakeProvider, is_grant
from tests.front_door import provider_table
from tests.payloads import absent_members as members
from tests.security.bearer_calls import AUDIENCE, Api, running_api
from tests.security.house import House
from tests.security.test_backchannel_logout import post_logout, sid_of

ABSENT = pytest.mark.parametrize("value", members.WAYS_TO_BE_ABSENT.values(), ids=members.WAYS_TO_BE_ABSENT)
Change = Callable[[dict[str, Any]], dict[str, Any]]


def saying_nothing(names: Sequence[str], value: Any) -> Change:
    return lambda message: {**message, **dict.fromkeys(names, value)}


@ABSENT
@pytest.mark.parametrize("name", [*members.ID_TOKEN, "all of them"])
def test_it_6_to_it_11_an_optional_claim_of_an_id_token_may_be_empty(house: House, name: str, value: Any) -> None:
    names = members.ID_TOKEN if name == "all of them" else (name,)
    house.provider.bend.id_token.claims(saying_nothing(names, value))
    assert house.who(house.sign_in()) == "alice"


@ABSENT
def test_it_10_an_id_token_header_with_empty_type_and_kid_is_accepted(house: House, value: Any) -> None:
    house.provider.bend.id_token.header(saying_nothing(("typ", "kid"), value))
    house.sign_in()


@ABSENT
def test_tk_4_optional_members_of_a_token_response_may_be_empty(house: House, value: Any) -> None:
    house.provider.bend.token.json(saying_nothing(members.TOKEN_RESPONSE, value))
    browser = house.sign_in()
    assert house.session_of(browser).tokens.refresh_token == ""


@ABSENT
def test_tk_6_empty_members_of_a_refresh_response_keep_the_old_values(
    timed_house: Callable[..., House], clock: FakeClock, value: Any
) -> None:
    house = timed_house()
    house.provider.options.rotate_refresh_tokens = False
    browser = house.sign_in()
    before = house.session_of(browser).tokens
    change = saying_nothing(("refresh_token", "id_token"), value)
    house.provider.bend.token.json(change, when=is_grant("refresh_token"))
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    after = house.session_of(browser).tokens
    assert (after.refresh_token, after.id_token) == (before.refresh_token, before.id_token)
    assert after.access_token != before.access_token


def test_tk_6_an_empty_scope_grants_no_scopes_and_a_null_scope_the_requested_ones(house: House) -> None:
    for said, granted in (("", set()), (None, {"openid", "profile", "email"})):
        house.provider.bend.token.reset()
        house.provider.bend.token.json(saying_nothing(("scope",), said))
        assert house.session_of(house.sign_in()).tokens.scopes == granted


@ABSENT
def test_it_13_empty_claims_in_userinfo_remove_no_claim_of_the_id_token(house: House, value: Any) -> None:
    house.provider.bend.id_token.claims(lambda claims: {**claims, "name": "Ada", "groups": ["science"]})
    house.provider.bend.userinfo.json(saying_nothing((*members.USERINFO, "name", "groups"), value))
    browser = house.sign_in()
    session = browser.fetch(f"{house.url}/auth/session").json()
    assert (session["name"], session["groups"]) == ("Ada", ["science"])


@ABSENT
def test_dm_2_an_empty_endpoint_is_treated_as_missing(
    build_house: Callable[..., House], provider: FakeProvider, value: Any
) -> None:
    provider.bend.discovery.json(saying_nothing(members.DISCOVERY, value))
    house = build_house(providers={"corp": provider_table(provider, userinfo="always")})
    browser = house.sign_in()
    assert browser.post(f"{house.url}/auth/logout").headers["location"].startswith("/auth/logged-out")


@ABSENT
def test_dm_4_a_key_with_empty_optional_members_verifies(
    build_house: Callable[..., House], provider: FakeProvider, value: Any
) -> None:
    names = [name for name in members.JWK if name != "kid"]
    provider.bend.jwks.json(
        lambda document: {"keys": [{**key, **dict.fromkeys(names, value)} for key in document["keys"]]}
    )
    build_house(providers={"corp": provider_table(provider, par="off")}).sign_in()


@pytest.mark.parametrize("kid", [OMIT, None, ""], ids=["missing", "null", "empty"])
def test_dm_4_a_key_without_a_kid_verifies_tokens_with_a_kid(
    build_house: Callable[..., House], provider: FakeProvider, kid: Any
) -> None:
    def change(document: dict[str, Any]) -> dict[str, Any]:
        keys = [
            {name: value for name, value in {**key, "kid": kid}.items() if value is not OMIT}
            for key in document["keys"]
        ]
        return {"keys": keys}

    provider.bend.jwks.json(change)
    build_house(providers={"corp": provider_table(provider, par="off")}).sign_in()


@ABSENT
def test_lo_11_a_logout_token_with_sub_or_sid_may_leave_the_other_empty(house: House, value: Any) -> None:
    rest = {name: value for name in members.LOGOUT_TOKEN if name != "sid"}
    browser = house.sign_in()
    assert post_logout(house, house.provider.logout_token(sub="alice", sid=value, **rest)).status_code == 200
    assert not house.is_signed_in(browser)
    first, second = house.sign_in(), house.sign_in()
    token = house.provider.logout_token(sub=value, sid=sid_of(house, first), **rest)
    assert post_logout(house, token).status_code == 200
    assert not house.is_signed_in(first)
    assert house.is_signed_in(second)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with FakeProvider() as provider:
        bearer = JWTBearer(provider.issuer, AUDIENCE, jwks_url=f"{provider.issuer}/jwks")
        with running_api(bearer, provider) as running:
            yield running


@ABSENT
@pytest.mark.parametrize("name", members.ACCESS_TOKEN)
def test_rs_4_an_optional_claim_of_an_access_token_may_be_empty(api: Api, name: str, value: Any) -> None:
    assert api.send(api.token(**{name: value})).status == 200


@ABSENT
def test_rs_5_an_empty_scope_gives_no_scopes_and_a_null_scope_is_read_from_scp(api: Api, value: Any) -> None:
    answer = api.send(api.token(scope=value, scp="models:read models:list"), path="/readers")
    assert answer.status == (200 if value is None else 403)


@pytest.mark.parametrize("nonce", ["n", "", None], ids=["text", "empty", "null"])
def test_rs_3_an_access_token_type_counts_more_than_a_nonce(api: Api, nonce: Any) -> None:
    """Keycloak up to 24 puts one into access tokens."""
    assert api.send(api.token(nonce=nonce)).status == 200
    api.assert_refused(api.token(nonce=nonce, typ="ID"))
    api.assert_refused(api.token(nonce=nonce, at_hash="h"))
