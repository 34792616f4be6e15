"""LO-1: the provider is told of a sign-out even if the person's ID token is very long."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest

from tests.fakes import CookieClient, FakeProvider
from tests.front_door import provider_table
from tests.security.house import House, location_query
from tests.security.many_groups import many_groups
from tests.security.rejection import set_cookies


def crowded(house: House) -> tuple[CookieClient, str]:
    """A browser of a person with 200 groups, and their ID token."""
    with many_groups(house.provider):
        browser = house.sign_in()
    return browser, house.session_of(browser).tokens.id_token


def fields_of(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def test_lo_1_a_logout_request_that_is_too_long_for_an_address_is_sent_as_a_form(house: House) -> None:
    browser, id_token = crowded(house)
    cookie = house.session_cookie(browser)
    answer = browser.post(f"{house.url}/auth/logout")
    assert (answer.status_code, answer.headers.get("location")) == (200, None)
    fields = fields_of(answer.text)
    assert len(fields.pop("state")) == 43
    assert fields == {
        "id_token_hint": id_token,
        "client_id": "vestibule",
        "post_logout_redirect_uri": f"{house.url}/auth/logged-out",
    }
    assert f'<form method="post" action="{house.provider.issuer}/end-session"' in answer.text
    assert re.search(r"<button[^>]* type=\"submit\">Continue</button>", answer.text)
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["form-action"] == f"{house.provider.issuer} 'self'"
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'nonce-[\w-]{22}'", policy["script-src"])
    assert f'<script nonce="{policy["script-src"][7:-1]}">' in answer.text
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-embedder-policy"] == "require-corp"
    assert [each for each in set_cookies(answer) if each.startswith("vestibule=;") and "Max-Age=0" in each]
    assert house.get_raw("/auth/session", "Sec-Fetch-Site: same-origin", cookie=cookie).status == 401


def test_lo_1_a_provider_that_accepts_only_get_gets_a_long_logout_request_without_the_id_token(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="off", logout_method="get")})
    browser, _ = crowded(house)
    answer = browser.post(f"{house.url}/auth/logout")
    assert answer.status_code == 303
    assert len(answer.headers["location"]) <= 2_000
    query = location_query(answer)
    assert len(query.pop("state")) == 43
    assert query == {
        "logout_hint": "alice",
        "client_id": "vestibule",
        "post_logout_redirect_uri": f"{house.url}/auth/logged-out",
    }


@pytest.mark.parametrize(
    "sent",
    [
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: empty"],
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"],
        ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors"],
        [],
    ],
    ids=["fetch", "fetch of the same origin alone", "a frame", "two modes", "a browser that does not say it"],
)
def test_tk_5_a_script_that_signs_somebody_out_gets_no_id_token(house: House, sent: list[str]) -> None:
    """It can read the answer to its own request, but never where a redirect leads."""
    browser, id_token = crowded(house)
    cookie = house.session_cookie(browser)
    answer = house.get_raw("/auth/logout", f"Origin: {house.url}", *sent, method="POST", cookie=cookie)
    assert answer.status == 303
    assert id_token.encode() not in answer.received
    assert house.get_raw("/auth/session", "Sec-Fetch-Site: same-origin", cookie=cookie).status == 401


@pytest.mark.parametrize("method", ["auto", "get"])
def test_lo_1_a_short_logout_request_is_a_redirect_with_the_id_token(
    build_house: Callable[..., House], provider: FakeProvider, method: str
) -> None:
    house = build_house(providers={"corp": provider_table(provider, par="off", logout_method=method)})
    browser = house.sign_in()
    id_token = house.session_of(browser).tokens.id_token
    assert location_query(browser.post(f"{house.url}/auth/logout"))["id_token_hint"] == id_token
