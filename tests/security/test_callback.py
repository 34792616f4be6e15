"""CB: the authorization response, and everything that is refused before a token request."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import pytest

from tests.fakes import CookieClient, FakeClock, FakeProvider
from tests.front_door import provider_table
from tests.security.house import House, location_query, query_of
from tests.security.raw import storm
from tests.security.rejection import assert_rejected

STATE = "A" * 43


def with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    return urlunsplit(urlsplit(url)._replace(query=urlencode(pairs)))


def without(pairs: list[tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [pair for pair in pairs if pair[0] != name]


def replaced(pairs: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [*without(pairs, name), (name, value)]


@pytest.mark.parametrize("state", [None, "", "x", STATE, STATE + "=", "ä" * 43, "A" * 5_000, "%00", "../" * 14 + "A"])
def test_cb_1_a_missing_or_unknown_state_is_refused_before_any_token_request(house: House, state: str | None) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    pairs = without(query_of(url), "state")
    attack = with_query(url, pairs if state is None else [*pairs, ("state", state)])
    page = assert_rejected(house, lambda: browser.get(attack), statuses=[400])
    assert "location" not in page.headers  # a page offers to start again, so there is no loop
    assert 'href="/auth/login' in page.text
    assert browser.get(url).status_code == 303  # the unfinished sign-in is not changed


def test_cb_1_an_expired_state_is_refused(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.browser()
    url = house.callback_url(browser)
    clock.advance(601)
    assert_rejected(house, lambda: browser.get(url), statuses=[400])


def test_cb_1_an_unused_state_is_valid_for_at_most_ten_minutes(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    house.provider.options.code_lifetime = 3_600
    browser = house.browser()
    url = house.callback_url(browser)
    clock.advance(595)
    assert browser.get(url).status_code == 303


def test_cb_1_an_expired_sign_in_is_gone_even_if_its_cookie_still_exists(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.browser()
    url = house.callback_url(browser)
    name = house.store.logins[-1]
    house.door.do(house.store.take_once("login", name))
    assert_rejected(house, lambda: browser.get(url), reason="callback_unknown")


def test_cb_1_a_changed_binding_cookie_is_treated_as_another_browser(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    (cookie,) = browser.cookies
    stamp, _, signature = cookie.value.partition(".")
    for value in (f"{int(stamp) + 1}.{signature}", f"{stamp}.{signature[:-1]}", signature, stamp, f".{signature}"):
        browser.cookies.set(cookie.name, value, house.url)
        assert_rejected(house, lambda: browser.get(url), reason="callback_foreign_browser")


def test_cb_1_two_binding_cookies_are_refused(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    (cookie,) = browser.cookies
    pair = f"{cookie.name}={cookie.value}"
    headers = {"Cookie": f"{pair}; {pair}"}
    assert_rejected(house, lambda: browser.get(url, headers=headers), reason="callback_foreign_browser")


def test_cb_2_only_one_of_a_hundred_identical_callbacks_signs_in(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    before = len(house.store.sessions)
    request = house.request(url.removeprefix(house.url), f"Cookie: {cookies}")
    statuses = [answer.status for answer in storm(house.door.port, [request] * 100)]
    assert sorted(statuses) == [303] + [400] * 99
    assert len(house.provider.hits_of("token")) == 1
    assert len(house.store.sessions) - before == 1


def test_cb_2_a_second_use_of_a_callback_is_refused(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    (cookie,) = browser.cookies
    assert browser.get(url).status_code == 303
    browser.cookies.clear()
    browser.cookies.set(cookie.name, cookie.value, house.url)  # the cookie is cleared on success; an attacker kept it
    assert_rejected(house, lambda: browser.get(url), reason="callback_unknown")


CONFLICTS: dict[str, Callable[[list[tuple[str, str]]], list[tuple[str, str]]]] = {
    "state twice": lambda pairs: [*pairs, ("state", STATE)],
    "attacker's state first": lambda pairs: [("state", STATE), *pairs],
    "same state twice": lambda pairs: [*pairs, *(pair for pair in pairs if pair[0] == "state")],
    "code twice": lambda pairs: [*pairs, ("code", "evil")],
    "attacker's code first": lambda pairs: [("code", "evil"), *pairs],
    "iss twice": lambda pairs: [*pairs, *(pair for pair in pairs if pair[0] == "iss")],
    "code and error": lambda pairs: [*pairs, ("error", "access_denied")],
    "code and empty error": lambda pairs: [*pairs, ("error", "")],
    "neither code nor error": lambda pairs: without(pairs, "code"),
    "empty code": lambda pairs: replaced(pairs, "code", ""),
    "code of 5,000 characters": lambda pairs: replaced(pairs, "code", "c" * 4_097),
    "code with a line break": lambda pairs: replaced(pairs, "code", "a\r\nb"),
    "id_token": lambda pairs: [*pairs, ("id_token", "e30.e30.e30")],
    "access_token": lambda pairs: [*pairs, ("access_token", "x")],
    "token": lambda pairs: [*pairs, ("token", "x")],
    "a hundred parameters": lambda pairs: [*pairs, *((f"p{number}", "x") for number in range(100))],
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_cb_3_duplicate_and_conflicting_parameters_are_refused(house: House, conflict: str) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    attack = with_query(url, CONFLICTS[conflict](query_of(url)))
    assert_rejected(house, lambda: browser.get(attack), statuses=[400])


@pytest.mark.parametrize("victims_state_first", [True, False])
def test_cb_3_conflicting_parameters_are_refused_in_every_order(house: House, victims_state_first: bool) -> None:
    victim, attacker = house.browser(), house.browser()
    of_victim, of_attacker = house.callback_url(victim), house.callback_url(attacker)
    own = ("state", dict(query_of(of_victim))["state"])
    pairs = [own, *query_of(of_attacker)] if victims_state_first else [*query_of(of_attacker), own]
    assert_rejected(house, lambda: victim.get(with_query(of_victim, pairs)), reason="callback_duplicate")
    assert_rejected(house, lambda: victim.get(of_attacker), reason="callback_foreign_browser")
    assert not house.is_signed_in(victim)


def test_cb_3_an_injected_code_of_another_sign_in_opens_no_session(house: House) -> None:
    """PKCE: the code was issued for another verifier, and the provider refuses it."""
    victim, attacker = house.browser(), house.browser()
    of_victim, of_attacker = house.callback_url(victim), house.callback_url(attacker)
    injected = with_query(of_victim, replaced(query_of(of_victim), "code", dict(query_of(of_attacker))["code"]))
    assert_rejected(house, lambda: victim.get(injected), reason="token_refused", token_hits=1)


ISSUERS: dict[str, Callable[[str], str]] = {
    "wrong": lambda _: "https://evil.example",
    "slash added": lambda issuer: issuer + "/",
    "upper case": lambda issuer: issuer.upper(),
    "longer": lambda issuer: issuer + ".evil.example",
    "prefix": lambda issuer: issuer[:-1],
    "empty": lambda _: "",
}


@pytest.mark.parametrize("change", ISSUERS)
def test_cb_4_a_response_with_iss_of_another_issuer_is_refused(house: House, change: str) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    attack = with_query(url, replaced(query_of(url), "iss", ISSUERS[change](house.provider.issuer)))
    assert_rejected(house, lambda: browser.get(attack), statuses=[400])


def test_cb_4_a_response_without_iss_is_refused_when_the_provider_announces_iss(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    attack = with_query(url, without(query_of(url), "iss"))
    assert_rejected(house, lambda: browser.get(attack), reason="callback_issuer")


def test_cb_4_a_response_without_iss_is_accepted_when_the_provider_does_not_announce_iss(
    build_house: Callable[..., House],
) -> None:
    house = build_house()
    house.provider.options.send_iss = False
    assert house.is_signed_in(house.sign_in())


@pytest.mark.parametrize("started_with", ["corp", "partner"])
def test_cb_5_a_state_of_one_provider_is_refused_at_the_callback_of_another(
    build_house: Callable[..., House], provider: FakeProvider, started_with: str
) -> None:
    with FakeProvider(auto_login="bob") as partner:
        both = {"corp": provider, "partner": partner}
        tables = {name: provider_table(fake, par="off") for name, fake in both.items()}
        house = build_house(providers=tables)
        browser = house.browser()
        url = house.callback_url(browser, provider=started_with)
        (other,) = both.keys() - {started_with}
        swapped = url.replace(f"/callback/{started_with}", f"/callback/{other}")
        assert_rejected(house, lambda: browser.get(swapped), reason="callback_provider")
        for fake in both.values():  # neither has seen a code, a verifier or a secret
            assert fake.hits_of("token") == []


def test_cb_5_every_provider_has_its_own_redirect_uri(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    with FakeProvider() as partner:
        tables = {name: provider_table(fake, par="off") for name, fake in (("corp", provider), ("partner", partner))}
        house = build_house(providers=tables)
        uris = {
            name: location_query(house.start_login(house.browser(), provider=name))["redirect_uri"] for name in tables
        }
        assert uris == {name: f"{house.url}/auth/callback/{name}" for name in tables}


EVIL_DESCRIPTION = "<script>alert(1)</script>\r\nSet-Cookie: vestibule=evil" + "x" * 2_000


def test_cb_6_an_error_with_an_unknown_state_changes_nothing(house: House) -> None:
    browser = house.sign_in()
    query = urlencode({"error": "x<b>", "error_description": EVIL_DESCRIPTION, "state": STATE})
    url = f"{house.url}/auth/callback/corp?{query}"
    answer = assert_rejected(house, lambda: browser.get(url), statuses=[400], secrets=["<script>", "x<b>", "evil"])
    assert "set-cookie" not in answer.headers
    assert house.is_signed_in(browser)


def test_cb_6_an_error_of_the_provider_is_not_repeated_and_signs_nobody_out(house: House) -> None:
    browser = house.sign_in("bob")
    url = house.callback_url(browser)
    pairs = replaced(without(query_of(url), "code"), "error", "x\r\n<b>")
    pairs.append(("error_description", EVIL_DESCRIPTION))
    noted = len(house.refusals())
    answer = browser.get(with_query(url, pairs))
    assert answer.status_code == 400
    for echoed in ("<script>", "&lt;script", "x\r\n", "Set-Cookie: vestibule"):
        assert echoed not in answer.text
    assert [event["event"] for event in house.refusals()[noted:]] == ["login_failed"]
    assert house.who(browser) == "bob"


def test_cb_6_an_error_ends_only_its_own_sign_in(house: House) -> None:
    browser = house.browser()
    failing, other = house.callback_url(browser), house.callback_url(browser)
    error = with_query(failing, replaced(without(query_of(failing), "code"), "error", "access_denied"))
    assert browser.get(error).status_code == 400
    assert_rejected(house, lambda: browser.get(failing), reason="callback_foreign_browser")
    assert browser.get(other).status_code == 303


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender"])
def test_cb_7_a_prefetch_of_the_callback_does_not_use_up_the_sign_in(house: House, purpose: str) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    assert_rejected(house, lambda: browser.get(url, headers={"Sec-Purpose": purpose}), reason="callback_prefetch")
    assert browser.get(url).status_code == 303


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "POST"])
def test_cb_7_other_methods_do_not_use_up_the_sign_in(house: House, method: str) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    assert browser.fetch(url, method=method).status_code in range(400, 500)
    assert house.provider.hits_of("token") == []
    assert browser.get(url).status_code == 303


@pytest.fixture
def form_post_house(build_house: Callable[..., House], provider: FakeProvider) -> House:
    return build_house(providers={"corp": provider_table(provider, par="off", response_mode="form_post")})


def posted_parameters(house: House, browser: CookieClient) -> dict[str, str]:
    """What the provider's page would post; the browser has the transaction cookie."""
    start = house.start_login(browser)
    page = browser.follow(start)
    inputs = page.text.split('<input type="hidden" name="')[1:]
    return {part.split('"')[0]: part.split('value="')[1].split('"')[0].replace("&amp;", "&") for part in inputs}


FORM_POST_FAULTS: dict[str, tuple[str, Callable[[dict[str, str]], bytes], int]] = {
    "multipart": ("multipart/form-data; boundary=x", lambda form: b"--x--", 415),
    "json": ("application/json", lambda form: b"{}", 415),
    "text": ("text/plain", lambda form: urlencode(form).encode(), 415),
    "17 KB": (
        "application/x-www-form-urlencoded",
        lambda form: urlencode(form).encode() + b"&x=" + b"x" * 17_000,
        413,
    ),
    "empty": ("application/x-www-form-urlencoded", lambda form: b"", 400),
}


@pytest.mark.parametrize("fault", FORM_POST_FAULTS)
def test_cb_7_form_post_accepts_only_a_small_form(form_post_house: House, fault: str) -> None:
    house, browser = form_post_house, form_post_house.browser()
    form = posted_parameters(house, browser)
    content_type, write, status = FORM_POST_FAULTS[fault]
    url = f"{house.url}/auth/callback/corp"

    def attack() -> httpx.Response:
        return browser.fetch(url, method="POST", content=write(form), headers={"Content-Type": content_type})

    assert_rejected(house, attack, statuses=[status])
    assert browser.post(url, data=form).status_code == 303


def test_cb_7_a_get_is_refused_where_form_post_is_configured(form_post_house: House) -> None:
    house, browser = form_post_house, form_post_house.browser()
    form = posted_parameters(house, browser)
    url = f"{house.url}/auth/callback/corp"
    assert browser.get(url, params=form).status_code == 405
    assert browser.post(url, data=form).status_code == 303


def test_cb_8_a_finished_sign_in_leaves_no_code_state_or_cookie_in_the_browser(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser, return_to="/reports?year=2026")
    answer = browser.get(url)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/reports?year=2026"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.content == b""
    assert not any(value in str(answer.headers) for value in dict(query_of(url)).values())


def test_cb_9_fifty_tabs_stay_within_twenty_small_cookies(house: House) -> None:
    browser = house.browser()
    urls = [house.callback_url(browser, return_to=f"/tab/{number}") for number in range(50)]
    sent = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)
    assert len(browser.cookies) == 20
    assert len(sent) < 3_000
    for number in range(30, 50):
        answer = browser.get(urls[number])
        assert (answer.status_code, answer.headers["location"]) == (303, f"/tab/{number}")
    assert [cookie.name for cookie in browser.cookies] == ["vestibule"]
    assert browser.get(urls[0]).status_code == 400  # its cookie was removed to make room for newer ones


def restored(house: House, count: int) -> tuple[CookieClient, list[str]]:
    """A browser whose tabs all began a sign-in at once: the callbacks that the provider sends them to."""
    browser = house.browser()
    return browser, [house.callback_url(browser, return_to=f"/tab/{number}?x={number}") for number in range(count)]


def test_cb_9_a_tab_whose_sign_in_was_lost_shows_a_link_to_continue(house: House) -> None:
    """Its cookie was removed to make room for newer ones. The person is signed in through another tab."""
    browser, urls = restored(house, 25)
    assert browser.get(urls[24]).status_code == 303
    house.audit.clear()
    lost = browser.get(urls[0], headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert lost.status_code == 400
    assert "location" not in lost.headers
    assert "You are signed in already" in lost.text
    assert 'href="/tab/0?x=0"' in lost.text
    assert "refresh" not in lost.text.lower()
    assert [event["reason"] for event in house.refusals()] == ["callback_foreign_browser"]
    again = browser.get(urls[0], headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert 'href="/tab/0?x=0"' in again.text, "looking at the sign-in does not use it up"


def test_cb_9_a_signed_out_person_whose_sign_in_was_lost_starts_again_for_the_same_page(house: House) -> None:
    browser, urls = restored(house, 22)
    lost = browser.get(urls[0], headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert lost.status_code == 400
    assert 'href="/auth/login?return_to=%2Ftab%2F0%3Fx%3D0"' in lost.text


def test_cb_9_a_used_sign_in_leads_to_the_start_page(house: House) -> None:
    browser, urls = restored(house, 2)
    assert browser.get(urls[0]).status_code == 303
    again = browser.get(urls[0], headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
    assert again.status_code == 400
    assert "You are signed in already" in again.text
    assert 'class="button main" href="/"' in again.text


def test_cb_9_a_hundred_failed_sign_ins_leave_no_cookies_or_records(house: House) -> None:
    browser = house.browser()
    house.provider.options.auto_login = ""
    for _ in range(100):
        answers = browser.walk(house.start_login(browser, prompt="none"))
        assert answers[-1].status_code == 400
    assert len(browser.cookies) == 0
