"""TK: how long an access token is used, and what is sent to an API after it expired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import OMIT, CookieClient, FakeClock, FakeProvider
from tests.front_door import provider_table
from tests.security.house import House


def drop_lifetime(provider: FakeProvider) -> None:
    provider.bend.token.json(lambda answer: {name: value for name, value in answer.items() if name != "expires_in"})


def make_opaque(provider: FakeProvider) -> None:
    """Give out opaque access tokens, and no lifetime with them."""
    numbers = iter(range(1_000_000))
    provider.bend.token.json(lambda answer: {**answer, "access_token": f"opaque-{next(numbers)}"})
    provider.bend.id_token.claims(lambda claims: {**claims, "at_hash": OMIT})
    drop_lifetime(provider)


def sent_to_the_api(house: House, browser: CookieClient) -> str:
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    return house.upstream.last.header("authorization") or ""


def test_tk_4_a_token_is_renewed_before_its_own_exp_claim(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    drop_lifetime(house.provider)
    browser = house.sign_in()
    first = sent_to_the_api(house, browser)
    clock.advance(200)
    assert sent_to_the_api(house, browser) == first
    clock.advance(101)
    assert sent_to_the_api(house, browser) != first
    assert len(house.provider.grants("refresh_token")) == 1


def opaque_house(timed_house: Callable[..., House], provider: FakeProvider, **over: Any) -> House:
    return timed_house(providers={"corp": provider_table(provider, par="off", userinfo="never", **over)})


def test_tk_4_an_opaque_token_of_unknown_lifetime_is_renewed_after_the_assumed_lifetime(
    timed_house: Callable[..., House], provider: FakeProvider, clock: FakeClock
) -> None:
    house = opaque_house(timed_house, provider, assumed_lifetime_seconds=50)
    make_opaque(provider)
    browser = house.sign_in()
    assert sent_to_the_api(house, browser) == "Bearer opaque-0"
    clock.advance(39)
    assert sent_to_the_api(house, browser) == "Bearer opaque-0"
    clock.advance(12)
    assert sent_to_the_api(house, browser) == "Bearer opaque-1"
    clock.advance(51)
    assert sent_to_the_api(house, browser) == "Bearer opaque-2"


def test_tk_4_the_assumed_lifetime_is_five_minutes_by_default(
    timed_house: Callable[..., House], provider: FakeProvider, clock: FakeClock
) -> None:
    house = opaque_house(timed_house, provider)
    make_opaque(provider)
    browser = house.sign_in()
    clock.advance(301)
    assert sent_to_the_api(house, browser) == "Bearer opaque-1"


def test_tk_4_without_a_refresh_token_no_lifetime_is_assumed(
    timed_house: Callable[..., House], provider: FakeProvider, clock: FakeClock
) -> None:
    """The token could not be renewed, so the person would have to sign in again, perhaps without need."""
    house = opaque_house(timed_house, provider)
    provider.options.issue_refresh_tokens = False
    make_opaque(provider)
    browser = house.sign_in()
    clock.advance(3000)
    assert sent_to_the_api(house, browser) == "Bearer opaque-0"


def test_tk_6_a_refresh_token_with_a_space_is_kept_and_used(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    house.provider.bend.token.json(lambda answer: {**answer, "refresh_token": "r 1"})
    browser = house.sign_in()
    assert house.session_of(browser).tokens.refresh_token == "r 1"
    clock.advance(301)
    browser.fetch(f"{house.url}/api/x")
    assert house.provider.hits_of("token")[-1].form["refresh_token"] == "r 1"


def test_tk_6_an_unusable_rotated_token_is_not_reported_as_an_outage(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    """The old refresh token is spent.

    If it were sent again, the provider would treat it as stolen and end the session.
    """
    house = timed_house()
    browser = house.sign_in()
    house.provider.bend.token.json(lambda answer: {**answer, "access_token": "a b"}, times=1)
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 503
    refusal = next(event for event in house.audit if event["event"] == "refresh_failed")
    assert (refusal["reason"], refusal["detail"].partition("; ")[2]) == (
        "token_response_token",
        "the new refresh token is kept",
    )
    clock.advance(10)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert house.provider.reuse_detected == []


def test_tk_9_the_refresh_token_of_an_unusable_token_response_is_revoked(house: House) -> None:
    house.provider.bend.token.json(lambda answer: {**answer, "access_token": "a b"})
    browser = house.browser()
    assert browser.get(house.callback_url(browser)).status_code == 400
    house.door.do(house.door.app.bff.sign_in.drain())
    (hit,) = house.provider.hits_of("revocation")
    assert house.provider.memory.families[hit.form["token"]].revoked


@pytest.mark.parametrize("scope", [5, ["openid"], {"openid": True}, "openid\nadmin"], ids=repr)
def test_tk_6_a_malformed_scope_grants_nothing_and_leaves_a_line(
    timed_house: Callable[..., House], clock: FakeClock, scope: object
) -> None:
    house = timed_house()
    before = house.sign_in()
    assert house.session_of(before).tokens.scope
    house.provider.bend.token.json(lambda answer: {**answer, "scope": scope})
    assert house.session_of(house.sign_in("bob")).tokens.scope == ""
    clock.advance(301)
    before.fetch(f"{house.url}/api/x")
    assert house.session_of(before).tokens.scope == ""
    unread = [(event["reason"], event["detail"]) for event in house.audit if event["event"] == "claim_unread"]
    assert [reason for reason, _ in unread] == ["scope", "scope"]
    assert all("is no scope" in detail for _, detail in unread)
