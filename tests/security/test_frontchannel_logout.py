"""LO-14: front-channel logout is off by default, and guessing ends no session."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import provider_table
from tests.security.house import House, open_house

TRUST = ssl.create_default_context()


def visit(house: House, **query: str) -> httpx.Response:
    """The frame at the provider: another site, no cookie."""
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    url = f"{house.url}/auth/frontchannel-logout/corp"
    return httpx.get(url, params=query, headers=headers, verify=TRUST)


@pytest.fixture(scope="module")
def shared_framed_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    table = provider_table(shared_provider, par="off", frontchannel_logout=True)
    with open_house(shared_provider, shared_upstream, providers={"corp": table}) as house:
        yield house


@pytest.fixture
def framed_house(shared_framed_house: House, provider: FakeProvider) -> Iterator[House]:
    yield shared_framed_house
    shared_framed_house.close_browsers()


def test_lo_14_front_channel_logout_is_off_by_default(house: House) -> None:
    browser = house.sign_in()
    answer = visit(house, iss=house.provider.issuer, sid=house.session_of(browser).sid)
    assert answer.status_code == 404
    assert house.is_signed_in(browser)


def test_lo_14_the_exact_issuer_and_sid_end_only_that_session(framed_house: House) -> None:
    house = framed_house
    browser, other_device = house.sign_in(), house.sign_in()
    answer = visit(house, iss=house.provider.issuer, sid=house.session_of(browser).sid)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert not house.is_signed_in(browser)
    assert house.is_signed_in(other_device)


def test_lo_14_only_the_issuer_may_frame_the_answer(framed_house: House) -> None:
    answer = visit(framed_house)
    policies = answer.headers.get_list("content-security-policy")
    assert any(f"frame-ancestors {framed_house.provider.issuer}" in policy for policy in policies)
    assert all("frame-ancestors" not in policy or "evil" not in policy for policy in policies)
    assert "x-frame-options" not in answer.headers


def test_lo_14_front_channel_logout_revokes_no_token_and_changes_no_cookie(framed_house: House) -> None:
    house = framed_house
    browser = house.sign_in()
    answer = visit(house, iss=house.provider.issuer, sid=house.session_of(browser).sid)
    house.door.do(house.door.app.bff.sign_in.drain())
    assert house.provider.hits_of("revocation") == []
    assert not answer.headers.get_list("set-cookie")


GUESSES = {
    "nothing": "",
    "no iss": "sid={sid}",
    "no sid": "iss={issuer}",
    "another iss": "iss=https://idp.example&sid={sid}",
    "iss with a slash": "iss={issuer}/&sid={sid}",
    "iss upper case": "iss={ISSUER}&sid={sid}",
    "another sid": "iss={issuer}&sid=other",
    "sid empty": "iss={issuer}&sid=",
    "sid a pattern": "iss={issuer}&sid=*",
    "sid too long": "iss={issuer}&sid=" + "x" * 3_000,
    "by sub": "iss={issuer}&sub=alice",
    "no form": "iss={issuer}&sid=%ff",
    "sid twice": "iss={issuer}&sid={sid}&sid=other",
    "sid twice, the right one last": "iss={issuer}&sid=other&sid={sid}",
    "iss twice": "iss=https://idp.example&iss={issuer}&sid={sid}",
}


@pytest.mark.parametrize("guess", GUESSES)
def test_lo_14_a_guessed_issuer_or_sid_ends_no_session(framed_house: House, guess: str) -> None:
    house = framed_house
    browser = house.sign_in()
    issuer, sid = house.provider.issuer, house.session_of(browser).sid
    query = GUESSES[guess].format(issuer=issuer, ISSUER=issuer.upper(), sid=sid)
    answer = httpx.get(f"{house.url}/auth/frontchannel-logout/corp?{query}", verify=TRUST)
    assert answer.status_code in (200, 400)
    assert sid not in answer.text
    assert house.is_signed_in(browser)


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
def test_lo_14_only_get_is_accepted_at_the_front_channel_address(framed_house: House, method: str) -> None:
    house = framed_house
    browser = house.sign_in()
    params = {"iss": house.provider.issuer, "sid": house.session_of(browser).sid}
    answer = httpx.request(method, f"{house.url}/auth/frontchannel-logout/corp", params=params, verify=TRUST)
    assert answer.status_code == 405
    assert house.is_signed_in(browser)
