"""AZ-8: a pushed authorization request is mandatory where it is configured, and never replaced by a plain one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import FakeProvider
from tests.front_door import provider_table
from tests.security.house import House, location_query
from tests.security.rejection import assert_rejected


@pytest.mark.parametrize("par", ["required", "auto"])
def test_az_8_the_front_channel_has_only_client_id_and_request_uri(
    build_house: Callable[..., House], provider: FakeProvider, par: str
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par=par)})
    browser = house.browser()
    started = house.start_login(browser, prompt="login", login_hint="alice", max_age="60")
    parameters = location_query(started)
    assert set(parameters) == {"client_id", "request_uri"}
    pushed = provider.hits_of("par")[-1].form
    assert (pushed["prompt"], pushed["login_hint"], pushed["max_age"]) == ("login", "alice", "60")
    assert (pushed["response_type"], pushed["code_challenge_method"]) == ("code", "S256")
    browser.walk(started)
    assert house.is_signed_in(browser)


FAULTS: dict[str, dict[str, Any]] = {
    "400": {"status": 400, "json": {"error": "invalid_request"}},
    "401": {"status": 401, "json": {"error": "invalid_client"}},
    "404": {"status": 404},
    "500": {"status": 500, "body": "oops"},
    "302": {"status": 302, "headers": {"location": "https://evil.example/"}},
    "200 without request_uri": {"status": 201, "json": {"expires_in": 60}},
    "request_uri a number": {"status": 201, "json": {"request_uri": 1, "expires_in": 60}},
    "request_uri empty": {"status": 201, "json": {"request_uri": "", "expires_in": 60}},
    "request_uri with a line end": {"status": 201, "json": {"request_uri": "urn:x\r\nX: y", "expires_in": 60}},
    "HTML": {"status": 200, "body": "<html>", "headers": {"content-type": "text/html"}},
}


def begun(house: House) -> list[str]:
    """Sign-ins under way."""
    return [name for name in house.store.logins if house.door.do(house.store.peek("login", name)) is not None]


@pytest.mark.parametrize("fault", [*FAULTS, "time-out", "cut"])
@pytest.mark.parametrize("par", ["required", "auto"])
def test_az_8_a_failed_pushed_request_gives_an_error_page(
    build_house: Callable[..., House], provider: FakeProvider, par: str, fault: str
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par=par, http_timeout_seconds=0.3)})
    if fault == "time-out":
        provider.bend.par.delay(1)
    elif fault == "cut":
        provider.bend.par.drop()
    else:
        provider.bend.par.raw(**FAULTS[fault])
    answer = assert_rejected(house, lambda: house.start_login(house.browser()), statuses=[503])
    assert "location" not in answer.headers
    assert "text/html" in answer.headers["content-type"]
    assert provider.hits_of("authorization") == []
    assert begun(house) == []


def test_az_8_an_expired_request_uri_opens_no_session(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="required")})
    browser = house.browser()
    started = house.start_login(browser)
    provider.memory.par_requests.clear()
    assert browser.walk(started)[-1].status_code == 400
    assert not house.is_signed_in(browser)
    assert house.is_signed_in(house.sign_in(browser=browser))


def test_az_8_a_required_pushed_request_fails_without_an_endpoint(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    left_out = "pushed_authorization_request_endpoint"
    provider.bend.discovery.json(lambda doc: {name: value for name, value in doc.items() if name != left_out})
    house = build_house(providers={"corp": provider_table(provider, par="required")})
    assert_rejected(house, lambda: house.start_login(house.browser()), statuses=[503], reason="par_refused")


def test_az_8_a_provider_that_requires_pushed_requests_gets_no_plain_request(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    provider.options.require_par = True
    house = build_house(providers={"corp": provider_table(provider, par="off")})
    assert_rejected(house, lambda: house.start_login(house.browser()), statuses=[503], reason="par_required")


def test_ds_4_a_sign_in_over_the_limit_makes_no_request_to_the_provider(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    """Otherwise strangers could cause any number of authenticated calls to the provider."""
    house = build_house(
        providers={"corp": provider_table(provider, par="required")}, limits={"pending_logins_per_address": 5}
    )
    statuses = [house.start_login(house.browser()).status_code for _ in range(20)]
    assert statuses == [302] * 5 + [503] * 15
    assert len(provider.hits_of("par")) == 5
