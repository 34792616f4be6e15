"""Third-party initiated login: only for the configured issuer, only to a local page, and nothing without a sign-in."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.payloads.return_targets import NO_PLACES_TO_RETURN_TO, REDIRECT_TARGETS
from tests.security.house import House, location_query
from tests.security.rejection import assert_rejected


def initiate(house: House, pairs: list[tuple[str, str]], *, method: str = "GET", provider: str = "corp") -> Any:
    """What a link or a form at another site does."""
    browser, url = house.browser(), f"{house.url}/auth/initiate/{provider}"
    if method == "POST":
        return browser.post(url, data=pairs, cross_site=True)
    return browser.get(str(httpx.URL(url, params=pairs)), cross_site=True)


def login_of(answer: httpx.Response) -> dict[str, list[str]]:
    """Parameters of the sign-in an answer leads to."""
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert (target.scheme, target.netloc, target.path) == ("", "", "/auth/login")
    return parse_qs(target.query)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_initiated_login_with_the_configured_issuer_starts_a_sign_in(house: House, method: str) -> None:
    pairs = [("iss", house.provider.issuer), ("login_hint", "alice@example.com"), ("target_link_uri", "/page/x?y=1")]
    browser = house.browser()
    url = f"{house.url}/auth/initiate/corp"
    post = method == "POST"
    answer = browser.post(url, data=pairs, cross_site=True) if post else browser.get(httpx.URL(url, params=pairs))
    assert login_of(answer) == {
        "return_to": ["/page/x?y=1"],
        "provider": ["corp"],
        "login_hint": ["alice@example.com"],
    }
    at_provider = browser.follow(answer)
    assert location_query(at_provider)["login_hint"] == "alice@example.com"
    pages = browser.walk(at_provider)
    assert pages[-1].url.raw_path == b"/page/x?y=1"
    assert house.is_signed_in(browser)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_target_with_this_origin_is_used_as_its_path(house: House, method: str) -> None:
    pairs = [("iss", house.provider.issuer), ("target_link_uri", f"{house.url}/page")]
    assert login_of(initiate(house, pairs, method=method))["return_to"] == ["/page"]


ISSUERS = [
    "",
    "https://idp.example",
    "{issuer}/",
    "{issuer}.evil.example",
    " {issuer}",
    "{issuer}#",
    "{ISSUER}",
    "corp",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("issuer", ISSUERS)
def test_an_initiated_login_with_another_issuer_is_refused(house: House, issuer: str, method: str) -> None:
    own = house.provider.issuer
    pairs = [("iss", issuer.replace("{issuer}", own).replace("{ISSUER}", own.upper())), ("target_link_uri", "/page")]
    logins = len(house.store.logins)
    assert_rejected(house, lambda: initiate(house, pairs, method=method), statuses=[400], reason="initiate_issuer")
    assert len(house.store.logins) == logins


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("twice", ["iss", "target_link_uri", "login_hint"])
def test_a_parameter_that_comes_twice_is_refused(house: House, twice: str, method: str) -> None:
    pairs = [("iss", house.provider.issuer), ("target_link_uri", "/page"), ("login_hint", "a")]
    pairs.append((twice, house.provider.issuer if twice == "iss" else "/page"))
    assert_rejected(house, lambda: initiate(house, pairs, method=method), statuses=[400])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_initiated_login_without_an_issuer_is_refused(house: House, method: str) -> None:
    assert_rejected(house, lambda: initiate(house, [("target_link_uri", "/page")], method=method), statuses=[400])


@pytest.mark.parametrize("name", sorted(REDIRECT_TARGETS))
def test_no_target_of_an_initiated_login_leads_to_another_site(house: House, name: str) -> None:
    for payload in REDIRECT_TARGETS[name]:
        target = payload.replace("{own}", house.url).replace("{host}", house.host)
        if len(target) > 6_000:
            continue
        pairs = [("iss", house.provider.issuer), ("target_link_uri", target)]
        answer = initiate(house, pairs, method="POST")
        if answer.status_code == 400:
            continue
        back = login_of(answer)["return_to"][0]
        landed = httpx.URL(house.url).join(back)
        assert (landed.scheme, landed.netloc.decode()) == ("http", house.host), (target, back)
        assert back.startswith("/")
        assert not back.startswith(("//", "/\\"))


@pytest.mark.parametrize("target", NO_PLACES_TO_RETURN_TO)
def test_a_target_that_is_not_a_page_becomes_the_start_page(house: House, target: str) -> None:
    pairs = [("iss", house.provider.issuer), ("target_link_uri", target)]
    assert login_of(initiate(house, pairs))["return_to"] == ["/"]


def test_other_parameters_of_an_initiated_login_are_not_sent_to_the_provider(house: House) -> None:
    extra = {"scope": "admin", "client_id": "x", "redirect_uri": "https://e.example", "prompt": "none", "max_age": "1"}
    pairs = [("iss", house.provider.issuer), *extra.items()]
    assert set(login_of(initiate(house, pairs))) == {"return_to", "provider"}


@pytest.mark.parametrize("hint", ["x" * 201, "a\r\nX: y", "é", "\x00", "\t"])
def test_a_login_hint_that_cannot_be_passed_on_is_refused(house: House, hint: str) -> None:
    browser = house.browser()
    pairs = [("iss", house.provider.issuer), ("login_hint", hint)]
    answer = browser.post(f"{house.url}/auth/initiate/corp", data=pairs, cross_site=True)
    logins = len(house.store.logins)
    pages = browser.walk(answer)
    assert pages[-1].status_code == 400
    assert len(house.store.logins) == logins


@pytest.mark.parametrize("dest", ["image", "iframe", "script", "empty"])
def test_embedded_content_cannot_start_an_initiated_login(house: House, dest: str) -> None:
    browser = house.browser()
    headers = {"Sec-Fetch-Dest": dest, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-User": None}
    url = str(httpx.URL(f"{house.url}/auth/initiate/corp", params={"iss": house.provider.issuer}))
    answer = browser.get(url, headers=headers, cross_site=True)
    assert answer.status_code in (401, 403)
    assert "location" not in answer.headers


def test_an_initiated_login_does_not_sign_a_person_out(house: House) -> None:
    browser = house.sign_in()
    url = str(httpx.URL(f"{house.url}/auth/initiate/corp", params={"iss": house.provider.issuer}))
    assert browser.get(url, cross_site=True).status_code == 303
    assert house.who(browser) == "alice"


def test_an_unknown_provider_has_no_address_for_initiated_logins(house: House) -> None:
    assert initiate(house, [("iss", house.provider.issuer)], provider="other").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD"])
def test_other_methods_are_refused(house: House, method: str) -> None:
    url = str(httpx.URL(f"{house.url}/auth/initiate/corp", params={"iss": house.provider.issuer}))
    assert house.browser().fetch(url, method=method).status_code == 405
