"""The routes of the request's own host decide the requirements and the target of a sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House, location_query
from tests.security.two_hosts import TwoHosts, build_two_hosts


@pytest.fixture
def hosts(build_house: Callable[..., House], upstream: RecordingUpstream) -> TwoHosts:
    """At the first host `/desk` has no demands and `/data` is an API.

    At the second, `/desk` demands more and `/data` is a page.
    """

    def routes(there: str) -> list[dict[str, Any]]:
        strong = {"acr_any": ["gold"], "max_age_seconds": 30}
        return [
            page_route(upstream, id="desk", path="/desk"),
            page_route(upstream, id="strong-desk", path="/desk", host=there, require=strong, title="Desk over there"),
            api_route(upstream, id="data", path="/data"),
            page_route(upstream, id="data-page", path="/data", host=there, title="Data over there"),
        ]

    return build_two_hosts(build_house, routes("127.0.0.1"))


def ask_provider(hosts: TwoHosts, origin: str, return_to: str) -> dict[str, str]:
    """Parameters of the authorization request of a sign-in at `origin` with the target `return_to`."""
    return location_query(hosts.house.browser().get(f"{origin}/auth/login", params={"return_to": return_to}))


def test_a_sign_in_at_the_second_host_asks_for_the_requirements_of_its_own_route(hosts: TwoHosts) -> None:
    asked = ask_provider(hosts, hosts.there, "/desk/x")
    assert (asked.get("acr_values"), asked.get("max_age")) == ("gold", "30")


def test_a_sign_in_at_the_first_host_does_not_ask_for_the_requirements_of_another_host(hosts: TwoHosts) -> None:
    assert not {"acr_values", "max_age"} & set(ask_provider(hosts, hosts.here, "/desk/x"))


def test_one_step_up_at_the_second_host_is_enough(hosts: TwoHosts) -> None:
    browser = hosts.sign_in(hosts.there)
    hosts.house.provider.options.acr = "gold"
    pages = browser.walk(browser.get(f"{hosts.there}/desk/x"))
    assert (pages[-1].status_code, str(pages[-1].url)) == (200, f"{hosts.there}/desk/x")


@pytest.mark.parametrize(("origin", "leads_to"), [("there", "/data/x"), ("here", "/")])
def test_a_sign_in_leads_back_only_to_a_page_of_its_own_host(hosts: TwoHosts, origin: str, leads_to: str) -> None:
    url = getattr(hosts, origin)
    browser = hosts.house.browser()
    pages = browser.walk(browser.get(f"{url}/auth/login", params={"return_to": "/data/x"}))
    assert str(pages[-1].url) == url + leads_to


def test_the_list_of_applications_has_only_those_of_its_own_host(hosts: TwoHosts) -> None:
    page = hosts.sign_in(hosts.there).get(hosts.there + "/").text
    assert ("Desk over there" in page, "Data over there" in page) == (True, True)
    assert page.count('href="/desk"') == 1
    page = hosts.sign_in(hosts.here).get(hosts.here + "/").text
    assert ("over there" in page, page.count('href="/desk"')) == (False, 1)
