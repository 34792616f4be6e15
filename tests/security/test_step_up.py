"""Routes that need a stronger or newer authentication: it is requested and checked, and causes no loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import CookieClient, FakeClock, FakeProvider, RecordingUpstream
from tests.front_door import api_route, page_route, provider_table
from tests.security.house import House, location_query
from tests.security.raw import handshake, open_websocket
from tests.security.rejection import assert_rejected


def stepped_routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    return [
        api_route(upstream),
        page_route(upstream, id="strong", path="/strong", require={"acr_any": ["gold", "silver"]}),
        page_route(upstream, id="recent", path="/recent", require={"max_age_seconds": 30}),
        page_route(upstream, id="both", path="/both", require={"acr_any": ["gold"], "max_age_seconds": 30}),
        api_route(upstream, id="strong-api", path="/strong-api/", require={"acr_any": ["gold"]}),
        page_route(upstream),
    ]


@pytest.fixture
def stepped_house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    return build_house(routes=stepped_routes(upstream))


@pytest.fixture
def stepped_timed_house(timed_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    return timed_house(routes=stepped_routes(upstream))


def ask_provider(house: House, browser: CookieClient, path: str) -> dict[str, str]:
    """Parameters of the authorization request that a visit to `path` leads to."""
    to_login = browser.get(house.url + path)
    assert to_login.status_code == 302, to_login.status_code
    assert to_login.headers["location"].startswith("/auth/login?return_to=")
    return location_query(browser.follow(to_login))


def test_a_session_that_is_too_weak_is_sent_to_a_sign_in_with_the_requirements_of_the_route(
    stepped_house: House,
) -> None:
    browser = stepped_house.sign_in()
    requests = len(stepped_house.upstream.requests)
    parameters = ask_provider(stepped_house, browser, "/strong/x")
    assert parameters["acr_values"] == "gold silver"
    assert "max_age" not in parameters
    assert len(stepped_house.upstream.requests) == requests


def test_one_step_up_is_enough_and_changes_the_session_id(stepped_house: House) -> None:
    house = stepped_house
    browser = house.sign_in()
    before = house.session_cookie(browser)
    house.provider.options.acr = "gold"
    pages = browser.walk(browser.get(f"{house.url}/strong/x?y=1"))
    assert (pages[-1].status_code, pages[-1].url.raw_path) == (200, b"/strong/x?y=1")
    assert house.session_cookie(browser) != before
    assert house.get_raw("/auth/session", cookie=before).status == 401
    assert browser.get(f"{house.url}/strong/z").status_code == 200


@pytest.mark.parametrize("acr", ["1", "", "Gold", "gold silver", "golden", None, ["gold"]])
def test_a_provider_that_cannot_step_up_gives_an_error_page_and_no_loop(stepped_house: House, acr: Any) -> None:
    house = stepped_house
    browser = house.sign_in()
    house.provider.bend.id_token.claims(lambda claims: {**claims, "acr": acr})
    before = len(house.provider.hits_of("authorization"))
    pages = browser.walk(browser.get(f"{house.url}/strong"))
    assert pages[-1].status_code == 400
    assert "text/html" in pages[-1].headers["content-type"]
    assert "id_token_acr" in pages[-1].text
    assert len(house.provider.hits_of("authorization")) - before == 1
    assert house.is_signed_in(browser)
    assert browser.get(f"{house.url}/page").status_code == 200


def test_the_page_that_ends_a_failed_step_up_says_what_is_missing(stepped_house: House) -> None:
    browser = stepped_house.sign_in()
    page = browser.walk(browser.get(f"{stepped_house.url}/strong"))[-1]
    assert "needs a stronger sign-in" in page.text
    stepped_house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": int(time.time()) - 1_000})
    page = browser.walk(browser.get(f"{stepped_house.url}/auth/login?return_to=/recent"))[-1]
    assert "needs a recent sign-in" in page.text


def test_scripts_sockets_and_apis_get_an_error_instead_of_a_redirect_to_step_up(stepped_house: House) -> None:
    house = stepped_house
    browser = house.sign_in()
    answer = browser.fetch(f"{house.url}/strong-api/x")
    assert (answer.status_code, answer.json()["code"]) == (401, "step_up_required")
    assert answer.json()["login_url"].startswith("/auth/login?")
    assert "location" not in answer.headers
    socket = handshake("/strong/ws", house.host, cookie=house.session_cookie(browser))
    answered, opened = open_websocket(house.door.port, socket)
    opened.close()
    assert answered.status == 401
    assert house.upstream.websockets == []


def test_a_sign_in_cannot_ask_for_less_than_the_route_requires(stepped_house: House) -> None:
    house = stepped_house
    started = house.start_login(house.browser(), return_to="/both/x", max_age="99999")
    assert location_query(started)["max_age"] == "30"
    assert location_query(started)["acr_values"] == "gold"
    stricter = house.start_login(house.browser(), return_to="/both/x", max_age="5", acr_values="bronze")
    assert (location_query(stricter)["max_age"], location_query(stricter)["acr_values"]) == ("5", "gold")


def test_an_old_authentication_is_renewed(stepped_timed_house: House, clock: FakeClock) -> None:
    house = stepped_timed_house
    browser = house.sign_in()
    assert browser.get(f"{house.url}/recent").status_code == 200
    clock.advance(31)
    assert browser.get(f"{house.url}/page").status_code == 200
    assert ask_provider(house, browser, "/recent")["max_age"] == "30"
    pages = browser.walk(browser.get(f"{house.url}/recent"))
    assert (pages[-1].status_code, pages[-1].url.path) == (200, "/recent")


@pytest.mark.parametrize("age", [31, 45, 59, 89, 91, 4_000, None, "now", -1])
def test_a_provider_that_reuses_an_old_authentication_causes_no_loop(stepped_timed_house: House, age: Any) -> None:
    house = stepped_timed_house
    browser = house.browser()
    now = int(house.door.app.bff.clock())
    stale = now - age if isinstance(age, int) and age >= 0 else age
    house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": stale})
    pages = browser.walk(browser.get(f"{house.url}/recent"))
    assert pages[-1].status_code == 400
    assert "id_token_auth_time" in pages[-1].text
    assert len(house.provider.hits_of("authorization")) == 1
    assert not house.is_signed_in(browser)


def test_a_step_up_works_when_the_clock_of_the_provider_is_a_little_ahead(stepped_timed_house: House) -> None:
    house = stepped_timed_house
    browser = house.browser()
    ahead = int(house.door.app.bff.clock()) + 30
    house.provider.bend.id_token.claims(lambda claims: {**claims, "auth_time": ahead})
    assert browser.walk(browser.get(f"{house.url}/recent"))[-1].status_code == 200


def test_the_claims_of_a_refresh_do_not_make_an_authentication_newer(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock
) -> None:
    house = timed_house(routes=[api_route(upstream, token="access_token"), *stepped_routes(upstream)[1:]])
    browser = house.sign_in()
    clock.advance(301)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert [grant.grant_type for grant in house.provider.grants()][-1] == "refresh_token"
    assert browser.get(f"{house.url}/recent").status_code == 302


def test_a_cancelled_step_up_keeps_the_existing_session(stepped_house: House) -> None:
    house = stepped_house
    browser = house.sign_in()
    house.provider.bend.authorization.json(
        lambda answer: {"error": "unmet_authentication_requirements", "state": answer["state"], "iss": answer["iss"]}
    )
    pages = browser.walk(browser.get(f"{house.url}/strong"))
    assert pages[-1].status_code == 400
    assert house.is_signed_in(browser)


def test_a_callback_cannot_change_the_requirements_of_the_step_up(
    build_house: Callable[..., House], provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    house = build_house(routes=stepped_routes(upstream), providers={"corp": provider_table(provider, par="off")})
    browser = house.browser()
    url = house.callback_url(browser, return_to="/strong")
    assert_rejected(house, lambda: browser.get(url + "&acr_values=1&max_age=9999"), token_hits=1, reason="id_token_acr")
