"""LO: signing out here and at the provider, and that only the person can do it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.fakes import CookieClient, FakeClock, FakeProvider
from tests.front_door import provider_table
from tests.payloads.return_targets import NO_PLACES_TO_RETURN_TO, REDIRECT_TARGETS, encodings
from tests.security.house import House, location_query
from tests.security.rejection import assert_rejected, set_cookies


def sign_out(house: House, browser: CookieClient, **how: Any) -> httpx.Response:
    return browser.post(f"{house.url}/auth/logout", **how)


def test_lo_1_signing_out_ends_the_local_session_and_tells_the_provider(house: House) -> None:
    browser = house.sign_in()
    cookie, id_token = house.session_cookie(browser), house.session_of(browser).tokens.id_token
    states = set()
    answer = sign_out(house, browser)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{house.provider.issuer}/end-session?")
    query = location_query(answer)
    states.add(query.pop("state"))
    assert query == {
        "id_token_hint": id_token,
        "client_id": "vestibule",
        "post_logout_redirect_uri": f"{house.url}/auth/logged-out",
    }
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert [each for each in set_cookies(answer) if each.startswith("vestibule=;") and "Max-Age=0" in each]
    for path in ("/auth/session", "/page", "/api/x"):
        assert house.get_raw(path, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", cookie=cookie).status == 401
    states.add(location_query(sign_out(house, house.sign_in()))["state"])
    assert len(states) == 2
    assert all(len(state) == 43 for state in states)


def test_lo_1_signing_out_twice_works(house: House) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    sign_out(house, browser)
    browser.cookies.set("vestibule", cookie, house.url)
    for _ in range(2):
        answer = sign_out(house, browser)
        assert (answer.status_code, answer.headers["location"]) == (303, "/auth/logged-out")


@pytest.mark.parametrize("fault", ["no end_session_endpoint", "dead provider", "expired tokens", "hint switched off"])
def test_lo_1_signing_out_works_without_the_provider(
    timed_house: Callable[..., House], clock: FakeClock, provider: FakeProvider, fault: str
) -> None:
    table = provider_table(provider, par="off", id_token_hint=fault != "hint switched off")
    house = timed_house(providers={"corp": table}, session={"idle_seconds": 86_000, "absolute_seconds": 86_000})
    if fault == "no end_session_endpoint":
        provider.bend.discovery.json(lambda doc: {key: doc[key] for key in doc if key != "end_session_endpoint"})
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    if fault == "dead provider":
        clock.advance(7_200)
        provider.bend.discovery.raw(500)
        provider.bend.revocation.raw(500)
        provider.bend.token.raw(500)
    elif fault == "expired tokens":
        clock.advance(7_200)
    answer = sign_out(house, browser)
    assert answer.status_code == 303
    if fault == "no end_session_endpoint":
        assert answer.headers["location"] == "/auth/logged-out"
    if fault == "dead provider":
        assert answer.headers["location"] == "/auth/logged-out?provider=silent"
        assert "still be signed in at your organisation" in browser.get(house.url + answer.headers["location"]).text
    assert ("id_token_hint" in answer.headers["location"]) is (fault == "expired tokens")
    assert house.get_raw("/auth/session", cookie=cookie).status == 401


def test_lo_1_the_session_ends_before_the_request_to_the_provider(house: House) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    with house.provider.bend.revocation.hold() as gate:
        sign_out(house, browser)
        gate.wait_arrived()
        assert house.get_raw("/auth/session", cookie=cookie).status == 401


CROSS_SITE: dict[str, Callable[[House, CookieClient], httpx.Response]] = {
    "form of another site": lambda house, browser: sign_out(house, browser, cross_site=True),
    "form of a sibling": lambda house, browser: sign_out(house, browser, initiator="http://evil.localhost"),
    "form of another port": lambda house, browser: sign_out(house, browser, initiator="http://localhost:1"),
    "null origin": lambda house, browser: sign_out(
        house, browser, headers={"Origin": "null", "Sec-Fetch-Site": "cross-site", "Cookie": own_cookie(house, browser)}
    ),
    "script of another site": lambda house, browser: browser.fetch(
        f"{house.url}/auth/logout",
        method="POST",
        initiator="https://evil.example",
        headers={"Cookie": own_cookie(house, browser)},
    ),
    "cookie forced along": lambda house, browser: sign_out(
        house, browser, cross_site=True, headers={"Cookie": own_cookie(house, browser)}
    ),
    "nothing said": lambda house, browser: sign_out(
        house, browser, headers={"Origin": None, "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None}
    ),
    "origin twice": lambda house, browser: browser.fetch(
        f"{house.url}/auth/logout", method="POST", headers={"Origin": f"{house.url}, {house.url}"}
    ),
}


def own_cookie(house: House, browser: CookieClient) -> str:
    return f"vestibule={house.session_cookie(browser)}"


@pytest.mark.parametrize("how", CROSS_SITE)
def test_lo_2_another_site_cannot_sign_a_person_out(house: House, how: str) -> None:
    browser = house.sign_in()
    answer = assert_rejected(house, lambda: CROSS_SITE[how](house, browser), statuses=[403])
    assert house.is_signed_in(browser)
    assert house.session_of(browser).sid not in answer.text


@pytest.mark.parametrize("initiator", [None, "https://evil.example"])
def test_lo_2_a_get_asks_for_confirmation_first(house: House, initiator: str | None) -> None:
    browser = house.sign_in()
    answer = browser.get(f"{house.url}/auth/logout?everywhere=1", initiator=initiator)
    assert answer.status_code == 200
    assert 'method="post"' in answer.text.lower()
    assert house.is_signed_in(browser)


def test_lo_2_an_embedded_image_signs_nobody_out(house: House) -> None:
    browser = house.sign_in()
    embedded = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors", "Cookie": own_cookie(house, browser)}
    browser.get(f"{house.url}/auth/logout", headers=embedded, cross_site=True)
    assert house.is_signed_in(browser)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_lo_2_other_methods_sign_nobody_out(house: House, method: str) -> None:
    browser = house.sign_in()
    assert browser.fetch(f"{house.url}/auth/logout", method=method).status_code == 405
    assert house.is_signed_in(browser)


LANDING = [payload for payloads in REDIRECT_TARGETS.values() for payload in payloads]


@pytest.mark.parametrize(
    "name", ["return_to", "rd", "next", "post_logout_redirect_uri", "redirect_uri", "url", "state"]
)
def test_lo_3_the_signed_out_page_does_not_redirect(house: House, name: str) -> None:
    for payload in ("//evil.com", "https://evil.com", "javascript:alert(1)"):
        answer = house.browser().get(f"{house.url}/auth/logged-out", params={name: payload})
        assert answer.status_code == 200
        assert "location" not in answer.headers
        assert "refresh" not in answer.headers
        assert "evil.com" not in answer.text
        assert "javascript:" not in answer.text
        scripts = re.findall(r"<script[^>]*>", answer.text)
        assert len(scripts) == 1, "the one that tells the other tabs"
        assert re.fullmatch(r'<script nonce="[\w-]+" src="/auth/guard.js" data-signed-out>', scripts[0])


def test_lo_3_the_button_of_the_signed_out_page_leads_only_to_local_pages(house: House) -> None:
    browser = house.browser()
    for payload in [*LANDING, *NO_PLACES_TO_RETURN_TO]:
        text = payload.replace("{own}", house.url).replace("{host}", house.host)
        for encoded in encodings(text)[:2]:
            answer = browser.get(f"{house.url}/auth/logged-out?return_to={encoded}")
            if answer.status_code == 414:
                continue
            assert answer.status_code == 200
            href = answer.text.partition('href="')[2].partition('"')[0].replace("&amp;", "&")
            assert urlsplit(href).path == "/auth/login", href


@pytest.mark.parametrize("query", ["", "state=other", "state=", "state=a&state=b", "state=%zz", "%", "x" * 5_000])
def test_lo_3_a_missing_or_foreign_state_shows_the_signed_out_page(house: House, query: str) -> None:
    browser = house.sign_in()
    answer = browser.get(f"{house.url}/auth/logged-out?{query}", cross_site=True)
    assert answer.status_code == 200
    assert house.is_signed_in(browser)
    assert "location" not in answer.headers


def test_lo_3_a_target_in_the_sign_out_form_is_ignored(house: House) -> None:
    browser = house.sign_in()
    fields = {"return_to": "//evil.com", "post_logout_redirect_uri": "https://evil.com", "rd": "//evil.com"}
    answer = browser.post(f"{house.url}/auth/logout?return_to=//evil.com", data=fields)
    assert location_query(answer)["post_logout_redirect_uri"] == f"{house.url}/auth/logged-out"
    assert "evil" not in answer.headers["location"]
