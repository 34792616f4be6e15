"""SL-12: a person sees and ends only their own sessions, and their number is limited."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from bff.audit import masked
from bff.contract import EndReason
from tests.fakes import OMIT, CookieClient, FakeClock
from tests.security.house import House, location_query, query_of
from tests.security.raw import handshake, open_websocket, read_close
from tests.security.rejection import assert_rejected


@pytest.fixture
def own_house(house: House) -> House:
    """The shared house with nobody signed in."""
    house.door.do(house.door.app.bff.sessions.end_everybody(EndReason.REVOKED))
    return house


def own_sessions(house: House, browser: CookieClient) -> list[dict[str, Any]]:
    sessions: list[dict[str, Any]] = browser.fetch(f"{house.url}/auth/sessions").json()["sessions"]
    return sessions


def id_of(house: House, browser: CookieClient) -> str:
    return next(str(each["id"]) for each in own_sessions(house, browser) if each["current"])


def end(house: House, browser: CookieClient, session_id: str, **how: Any) -> int:
    return browser.fetch(f"{house.url}/auth/sessions/{session_id}", method="DELETE", **how).status_code


def test_sl_12_a_person_sees_their_own_sessions_under_masked_ids(own_house: House) -> None:
    browser, second, bob = own_house.sign_in(), own_house.sign_in(), own_house.sign_in("bob")
    answer = browser.fetch(f"{own_house.url}/auth/sessions")
    sessions = answer.json()["sessions"]
    assert len(sessions) == 2
    assert [each["current"] for each in sessions].count(True) == 1
    assert answer.headers["cache-control"] == "no-store"
    page = browser.get(f"{own_house.url}/auth/account")
    for other in (browser, second, bob):
        session = own_house.session_of(other)
        secrets = (session.name, session.sid, own_house.session_cookie(other), session.tokens.access_token)
        assert all(secret not in answer.text + page.text for secret in secrets)
    assert all(re.fullmatch(r"[0-9a-f]{12}", each["id"]) for each in sessions)
    assert id_of(own_house, bob) not in answer.text + page.text


def test_sl_12_a_person_can_end_another_own_session_at_once(own_house: House) -> None:
    browser, second = own_house.sign_in(), own_house.sign_in()
    cookie = own_house.session_cookie(second)
    answer, socket = open_websocket(own_house.door.port, handshake("/page/ws", own_house.host, cookie=cookie))
    assert answer.status == 101
    assert end(own_house, browser, id_of(own_house, second)) == 204
    assert read_close(socket) == (4401, "revoked")
    socket.close()
    assert not own_house.is_signed_in(second)
    assert own_house.is_signed_in(browser)
    assert len(own_sessions(own_house, browser)) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_sl_12_no_id_of_another_persons_session_shows_or_ends_it(own_house: House, method: str) -> None:
    alice, bob = own_house.sign_in(), own_house.sign_in("bob")
    session = own_house.session_of(alice)
    for wanted in (id_of(own_house, alice), session.name, session.sid, own_house.session_cookie(alice)):
        answer = bob.fetch(f"{own_house.url}/auth/sessions/{wanted}", method=method)
        assert answer.status_code == 404
        assert "alice" not in answer.text
    assert own_house.is_signed_in(alice)
    assert own_house.is_signed_in(bob)


@pytest.mark.parametrize("wanted", ["*", "%2a", "000000000000", "..", "%00", "' OR 1=1", "x" * 500, "[0-9a-f]", "%"])
def test_sl_12_a_guessed_session_id_ends_no_session(own_house: House, wanted: str) -> None:
    browser, second = own_house.sign_in(), own_house.sign_in()
    assert end(own_house, browser, wanted) in (400, 404, 405)
    assert own_house.is_signed_in(browser)
    assert own_house.is_signed_in(second)


@pytest.mark.parametrize("path", ["/auth/sessions", "/auth/sessions/{id}"])
def test_sl_12_a_signed_out_visitor_sees_no_sessions(own_house: House, path: str) -> None:
    wanted = id_of(own_house, own_house.sign_in())
    answer = own_house.browser().fetch(own_house.url + path.format(id=wanted))
    assert answer.status_code == 401
    assert wanted not in answer.text


def test_sl_12_another_site_cannot_end_a_session(own_house: House) -> None:
    browser = own_house.sign_in()
    wanted, cookie = id_of(own_house, browser), f"vestibule={own_house.session_cookie(browser)}"
    url = f"{own_house.url}/auth/sessions/{wanted}"
    for act in (
        lambda: browser.fetch(url, method="DELETE", cross_site=True, headers={"Cookie": cookie}),
        lambda: browser.fetch(url, method="DELETE", initiator="http://evil.localhost", headers={"Cookie": cookie}),
        lambda: browser.post(url, cross_site=True, headers={"Cookie": cookie}),
        lambda: browser.fetch(f"{own_house.url}/auth/sessions", cross_site=True, headers={"Cookie": cookie}),
        lambda: browser.post(url, headers={"Origin": None, "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None}),
    ):
        assert_rejected(own_house, act, statuses=[403])
    assert own_house.is_signed_in(browser)


def test_sl_12_an_old_sign_in_must_be_renewed_before_it_can_end_another_session(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    """Somebody at a browser that its person has left cannot end the person's sessions on other devices."""
    house = timed_house()
    browser, second = house.sign_in(), house.sign_in()
    wanted = id_of(house, second)
    clock.advance(601)
    url = f"{house.url}/auth/sessions/{wanted}"
    answer = browser.fetch(url, method="DELETE")
    assert (answer.status_code, answer.json()["code"]) == (401, "fresh_login_required")
    again = answer.json()["login_url"]
    assert dict(query_of(again)) == {"return_to": "/auth/account", "prompt": "login"}
    form = browser.post(url)
    assert (form.status_code, form.headers["location"]) == (303, again)
    assert house.is_signed_in(second)

    begun = browser.get(house.url + again)
    assert location_query(begun)["prompt"] == "login"
    pages = browser.walk(begun)
    assert pages[-1].url.path == "/auth/account"
    assert end(house, browser, wanted) == 204
    assert not house.is_signed_in(second)


def test_sl_12_an_old_sign_in_can_end_its_own_session(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.sign_in()
    wanted = id_of(house, browser)
    clock.advance(601)
    assert end(house, browser, wanted) == 204
    assert not house.is_signed_in(browser)


def test_sl_12_a_new_sign_in_with_an_old_authentication_is_not_fresh(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    """Single sign-on opened the session without asking anybody anything."""
    house = timed_house()
    old = clock() - 3600
    house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": int(old)})
    browser, second = house.sign_in(), house.sign_in()
    assert end(house, browser, id_of(house, second)) == 401
    assert house.is_signed_in(second)


def test_sl_12_without_auth_time_only_a_sign_in_that_asked_for_a_new_authentication_is_fresh(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    """A sign-in by single sign-on without a question is no proof that the person is there."""
    house = timed_house()
    house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": OMIT})
    browser, second = house.sign_in(), house.sign_in()
    assert end(house, browser, id_of(house, second)) == 401
    house.sign_in(browser=browser, path="/auth/login?prompt=login")
    assert end(house, browser, id_of(house, second)) == 204
    assert not house.is_signed_in(second)


def test_sl_12_an_auth_time_in_the_future_is_not_fresh(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": int(clock()) + 10_000})
    browser, second = house.sign_in(), house.sign_in()
    assert end(house, browser, id_of(house, second)) == 401


def test_a_sign_in_can_lead_back_to_the_account_page(own_house: House) -> None:
    browser = own_house.browser()
    own_house.provider.options.auto_login = "alice"
    pages = browser.walk(browser.get(f"{own_house.url}/auth/account"))
    assert pages[-1].url.path == "/auth/account"
    assert pages[-1].status_code == 200


def test_sl_12_ending_the_current_session_signs_this_browser_out(own_house: House) -> None:
    browser = own_house.sign_in()
    assert end(own_house, browser, id_of(own_house, browser)) == 204
    assert not own_house.is_signed_in(browser)


def test_sl_12_ending_a_session_revokes_its_refresh_token(own_house: House) -> None:
    browser, second = own_house.sign_in(), own_house.sign_in()
    refresh_token = own_house.session_of(second).tokens.refresh_token
    kept = own_house.session_of(browser).tokens.refresh_token
    end(own_house, browser, id_of(own_house, second))
    own_house.door.do(own_house.door.app.bff.sign_in.drain())
    revoked = [hit.form["token"] for hit in own_house.provider.hits_of("revocation")]
    assert revoked.count(refresh_token) == 1
    assert kept not in revoked


@pytest.mark.parametrize("cap", [1, 2])
def test_sl_12_one_session_more_than_allowed_ends_the_oldest(
    timed_house: Callable[..., House], clock: FakeClock, cap: int
) -> None:
    house = timed_house(session={"max_per_person": cap})
    bob = house.sign_in("bob")
    browsers = []
    for _ in range(4):
        clock.advance(1)
        browsers.append(house.sign_in())
    assert [house.is_signed_in(browser) for browser in browsers] == [False] * (4 - cap) + [True] * cap
    assert house.is_signed_in(bob)


def ended(house: House) -> list[tuple[str, str]]:
    return [(each["reason"], each["session"]) for each in house.audit if each["event"] == "session_ended"]


def revoked(house: House) -> list[str]:
    house.door.do(house.door.app.bff.sign_in.drain())
    return [hit.form["token"] for hit in house.provider.hits_of("revocation")]


def test_sl_12_the_end_of_a_session_over_the_limit_is_logged_and_its_refresh_token_revoked(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house(session={"max_per_person": 1})
    old = house.session_of(house.sign_in())
    clock.advance(1)
    house.sign_in()
    assert ended(house) == [("session_limit", masked(old.name))]
    assert revoked(house) == [old.tokens.refresh_token]


def test_tk_9_another_person_in_the_same_browser_ends_the_session_and_refresh_token_of_the_first(house: House) -> None:
    browser = house.sign_in()
    old = house.session_of(browser)
    house.sign_in("bob", browser=browser)
    assert ended(house) == [("account_switch", masked(old.name))]
    assert revoked(house) == [old.tokens.refresh_token]


def test_tk_9_the_same_person_signing_in_again_does_not_revoke_the_old_refresh_token(house: House) -> None:
    browser = house.sign_in()
    old = house.session_of(browser)
    house.sign_in(browser=browser)
    assert ended(house) == [("superseded", masked(old.name))]
    assert revoked(house) == []


def test_sl_12_signing_in_again_in_one_browser_counts_once(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house(session={"max_per_person": 2})
    other, browser = house.sign_in(), house.sign_in()
    for _ in range(3):
        clock.advance(1)
        house.sign_in(browser=browser)
    assert house.is_signed_in(other)
    assert house.is_signed_in(browser)
