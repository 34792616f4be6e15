"""OR-1, OR-3, LO-2, CB-1, CB-4, CB-5, LG-1: the names of oauth2-proxy that people open: sign-in, callback, sign-out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route, provider_table
from tests.payloads.return_targets import NO_PLACES_TO_RETURN_TO, REDIRECT_TARGETS, encodings
from tests.ports import free_port
from tests.security.house import House, WatchedStore, location_query, open_house, query_of
from tests.security.old_door import NAMES, OLD, OTHER_SITES, catch_all
from tests.security.rejection import assert_rejected
from tests.security.test_open_redirect import filled, lands_on


@pytest.fixture(scope="module")
def old_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, routes=[catch_all(shared_upstream)], **OLD) as house:
        yield house


@pytest.fixture
def house(old_house: House, provider: FakeProvider, upstream: RecordingUpstream, audit: list[Any]) -> Iterator[House]:
    house = House(provider, upstream, old_house.door, old_house.store, audit)
    yield house
    house.close_browsers()


@pytest.mark.parametrize("name", ["start", "sign_in"])
@pytest.mark.parametrize(
    "query",
    ["rd=/report%3Fa%3D1%26b%3D2", "rd={own}/report?a=1&b=2", "rd=/report?a=1&b=2", "rd={quoted}"],
    ids=["encoded path", "raw address", "raw path", "encoded address"],
)
def test_a_person_comes_back_to_the_page_with_its_query(house: House, name: str, query: str) -> None:
    quoted = quote(f"{house.url}/report?a=1&b=2", safe="")
    browser = house.browser()
    pages = browser.walk(browser.get(f"{house.url}/oauth2/{name}?{query.format(own=house.url, quoted=quoted)}"))
    assert str(pages[-1].url) == f"{house.url}/report?a=1&b=2"
    assert [page.url.path for page in pages if page.url.host == "localhost" and "/auth/" in page.url.path] == []


def test_the_provider_is_told_the_redirect_uri_that_is_registered_already(house: House) -> None:
    house.provider.client.redirect_uris = [f"{house.url}/oauth2/callback"]
    try:
        for path in ("/oauth2/start", "/auth/login"):
            started = house.start_login(house.browser(), path)
            assert location_query(started)["redirect_uri"] == f"{house.url}/oauth2/callback"
            assert house.is_signed_in(house.sign_in(path=path))
    finally:
        house.provider.client.redirect_uris = None


def test_a_sign_in_asks_for_what_every_route_needs(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    """Otherwise the next question would be refused again, and the person would go round in circles."""
    fresh = page_route(
        upstream, id="fresh", path="/fresh", require={"max_age_seconds": 300, "acr_any": ["gold", "tin"]}
    )
    strong = page_route(upstream, id="strong", path="/strong", require={"max_age_seconds": 900, "acr_any": ["gold"]})
    open_route = page_route(upstream, id="open", path="/open", auth="public")
    house = build_house(routes=[catch_all(upstream), fresh, strong, open_route], **OLD)
    for name in ("start", "sign_in"):
        asked = location_query(house.start_login(house.browser(), f"/oauth2/{name}?rd=/report"))
        assert asked["max_age"] == "300"
        assert "gold" in asked.get("acr_values", "") + asked.get("claims", "")
        assert "tin" not in asked.get("acr_values", "") + asked.get("claims", "")


@pytest.mark.parametrize("said", ["/oauth2-notes?x=1", "/oauth2.html"])
def test_a_page_whose_name_begins_like_ours_is_a_page(house: House, said: str) -> None:
    browser = house.browser()
    started = browser.get(f"{house.url}/oauth2/sign_in", headers={"X-Auth-Request-Redirect": said})
    assert browser.get(browser.follow(started).headers["location"]).headers["location"] == said


def test_cb_7_the_callback_takes_only_the_method_of_the_provider(house: House) -> None:
    browser = house.browser()
    url = house.callback_url(browser, "/oauth2/start")
    for method in ("HEAD", "POST", "PUT"):
        assert house.get_raw(urlsplit(url).path + "?" + urlsplit(url).query, method=method).status == 405
    assert house.get_raw("/oauth2/callback?code=x", "Sec-Purpose: prefetch").status == 400
    assert house.provider.hits_of("token") == []
    browser.get(url)
    assert house.is_signed_in(browser)


def test_cb_7_the_callback_takes_a_form_where_the_provider_sends_one(
    build_house: Callable[..., House], provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    table = provider_table(provider, par="off", response_mode="form_post")
    house = build_house(providers={"corp": table}, routes=[catch_all(upstream)], **OLD)
    browser = house.browser()
    at_provider = browser.follow(house.start_login(browser, "/oauth2/start"))
    assert f'action="{house.url}/oauth2/callback"' in at_provider.text
    assert house.get_raw("/oauth2/callback?code=x&state=y").status == 405


def test_the_answer_has_a_page_for_a_proxy_that_changes_its_status(house: House) -> None:
    """`error_page 401 =403 /oauth2/sign_in` keeps Location and body, and browsers do not follow it."""
    answer = house.browser().get(f"{house.url}/oauth2/sign_in?rd=/report")
    assert answer.status_code == 302
    assert 'href="/oauth2/start?rd=%2Freport"' in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get_list("referrer-policy") == ["no-referrer"]


def test_or_1_rd_must_be_a_page_of_this_front_door(house: House) -> None:
    for name, payloads in REDIRECT_TARGETS.items():
        for payload in payloads:
            for encoded in encodings(filled(house, payload)):
                browser = house.browser()
                started = browser.get(f"{house.url}/oauth2/start?rd={encoded}")
                if started.status_code != 302:
                    assert started.status_code in (400, 414), (name, payload)
                    continue
                assert "evil" not in started.headers["location"] + started.text, (name, payload)
                back = browser.get(browser.follow(started).headers["location"])
                assert lands_on(house, back.headers["location"]) == house.url, (name, payload)
                browser.close()


GADGETS = [
    *NO_PLACES_TO_RETURN_TO[:7],
    *(f"/oauth2/{name}" for name in NAMES),
    *("/oauth2", "/oauth2/sign_out?rd=/x", "/%6fauth2/sign_out", "/OAUTH2/sign_out", "/oauth2;x/sign_out"),
]


@pytest.mark.parametrize("path", GADGETS)
@pytest.mark.parametrize("place", ["rd", "header", "return_to"])
def test_or_3_nobody_is_sent_back_to_an_address_of_the_sign_in(house: House, path: str, place: str) -> None:
    browser = house.browser()
    headers = {"X-Auth-Request-Redirect": path} if place == "header" else {}
    query = {"rd": f"/oauth2/start?rd={quote(path, safe='')}", "header": "/oauth2/start"}.get(
        place, f"/auth/login?return_to={quote(path, safe='')}"
    )
    started = browser.get(house.url + query, headers=headers)
    back = browser.get(browser.follow(started).headers["location"])
    assert back.headers["location"] == "/"


@pytest.mark.parametrize("said", ["//evil.example", "https://evil.example/", "/\\evil.example", "/oauth2/sign_out"])
def test_or_1_what_a_trusted_proxy_says_must_be_a_page_too(house: House, said: str) -> None:
    browser = house.browser()
    started = browser.get(f"{house.url}/oauth2/sign_in", headers={"X-Auth-Request-Redirect": said})
    assert browser.get(browser.follow(started).headers["location"]).headers["location"] == "/"


@pytest.mark.parametrize(("trusted", "lands"), [(["127.0.0.0/8"], "/report?x=1"), ([], "/")], ids=["trusted", "not"])
def test_fa_2_only_a_trusted_proxy_says_where_a_person_came_from(
    build_house: Callable[..., House], upstream: RecordingUpstream, trusted: list[str], lands: str
) -> None:
    house = build_house(routes=[catch_all(upstream)], compat=OLD["compat"], server={"trusted_proxies": trusted})
    browser = house.browser()
    started = browser.get(f"{house.url}/oauth2/sign_in", headers={"X-Auth-Request-Redirect": "/report?x=1"})
    assert browser.get(browser.follow(started).headers["location"]).headers["location"] == lands


@pytest.mark.parametrize("name", ["start", "sign_in"])
def test_only_a_navigation_starts_a_sign_in(house: House, name: str) -> None:
    url, browser = f"{house.url}/oauth2/{name}", house.browser()
    assert browser.fetch(url).status_code == 401
    for lines in (
        OTHER_SITES["image of another site"],
        OTHER_SITES["frame of another site"],
        ("Sec-Purpose: prefetch",),
    ):
        assert house.get_raw(f"/oauth2/{name}", *lines).status == 403
    assert [event for event in house.audit if event["event"] == "login_started"] == []


# -- callback --------------------------------------------------------------------------------------------------------


def test_cb_5_a_state_of_another_provider_is_refused_before_any_token_request(
    provider: FakeProvider, audit: list[Any], stack: ExitStack
) -> None:
    """The configuration named another provider when this sign-in began. Store, keys and address are the same."""
    store = WatchedStore()
    with FakeProvider(auto_login="alice") as former:
        before = RunningDoor({"former": provider_table(former, par="off")}, [], store=store, **OLD).start()
        browser = stack.enter_context(before.browser())
        url = browser.follow(browser.get(f"{before.url}/oauth2/start")).headers["location"]
        before.stop()
        now = RunningDoor({"corp": provider_table(provider, par="off")}, [], store=store, port=before.port, **OLD)
        stack.callback(now.start().stop)
        house = House(provider, RecordingUpstream(), now, store, audit)
        assert urlsplit(url).path == "/oauth2/callback"
        assert_rejected(house, lambda: browser.get(url), reason="callback_provider")
        assert (former.hits_of("token"), provider.hits_of("token")) == ([], [])


@pytest.mark.parametrize("iss", ["https://evil.example", "", None], ids=["another", "empty", "missing"])
def test_cb_4_the_issuer_is_checked_here_too(house: House, iss: str | None) -> None:
    browser = house.browser()
    url = house.callback_url(browser, "/oauth2/start")
    pairs = [(name, value) for name, value in query_of(url) if name != "iss"]
    attack = f"{house.url}/oauth2/callback?{urlencode([*pairs, *([] if iss is None else [('iss', iss)])])}"
    assert_rejected(house, lambda: browser.get(attack), statuses=[400])
    assert house.provider.hits_of("token") == []


def test_cb_1_a_callback_that_nobody_began_stays_below_the_old_names(house: House) -> None:
    answer = house.browser().get(f"{house.url}/oauth2/callback?code=x&state={'s' * 43}")
    assert answer.status_code == 400
    assert 'href="/oauth2/start?rd=%2F"' in answer.text
    assert "/auth/" not in answer.text
    (event,) = house.refusals()
    assert (event["event"], event["provider"]) == ("login_failed", "corp")


def test_lg_1_code_and_state_are_in_no_log(house: House) -> None:
    house.sign_in(path="/oauth2/start")
    lines = [event for event in house.audit if event["event"] == "request"]
    assert "/oauth2/callback" in [event["path"] for event in lines]
    assert not any("state=" in str(event) or "code=" in str(event) for event in house.audit)


# -- sign-out and userinfo -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OTHER_SITES, "link of another site"])
def test_lo_2_another_site_signs_nobody_out(house: House, name: str) -> None:
    link = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    lines = OTHER_SITES.get(name, link)
    browser = house.sign_in()
    for method in ("GET", "POST", "HEAD"):
        answer = house.get_raw("/oauth2/sign_out", *lines, method=method, cookie=house.session_cookie(browser))
        assert answer.all("set-cookie") == []
    assert house.is_signed_in(browser)


def test_lo_2_a_get_asks_and_the_form_of_that_page_signs_out(house: House) -> None:
    browser = house.sign_in()
    asked = browser.get(f"{house.url}/oauth2/sign_out?rd=/report")
    assert asked.status_code == 200
    assert house.is_signed_in(browser)
    assert "/auth/" not in asked.text
    done = browser.submit(asked, "#sign-out")
    assert done.headers["location"].startswith(f"{house.provider.issuer}/end-session?")
    assert {"state", "post_logout_redirect_uri"} & location_query(done).keys() == set()
    assert browser.follow(done).status_code == 200, "the provider did not know an address"
    assert not house.is_signed_in(browser)


def test_lo_1_cognito_gets_the_address_without_which_it_ends_nothing(
    build_house: Callable[..., House], provider: FakeProvider, upstream: RecordingUpstream
) -> None:
    table = provider_table(provider, par="off", logout_method="cognito")
    house = build_house(providers={"corp": table}, routes=[catch_all(upstream)], **OLD)
    left = house.sign_in().post(f"{house.url}/oauth2/sign_out")
    assert location_query(left) == {"client_id": "vestibule", "logout_uri": f"{house.url}/auth/logged-out"}


def test_everything_lies_below_the_path_of_the_public_url(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    port = free_port()
    server = {"public_url": f"http://localhost:{port}/tools", **OLD["server"]}
    house = build_house(port=port, routes=[catch_all(upstream)], compat=OLD["compat"], server=server)
    browser = house.browser()
    pages = browser.walk(browser.get(f"{house.url}/tools/oauth2/sign_in?rd={house.url}/tools/report?a=1&b=2"))
    assert str(pages[-1].url) == f"{house.url}/tools/report?a=1&b=2"
    cookie = house.session_cookie(browser)
    assert house.get_raw("/tools/oauth2/auth", cookie=cookie).status == 202
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 404
    assert (house.get_raw("/tools/ping").status, house.get_raw("/ping").status) == (200, 404)
    asked = browser.get(f"{house.url}/tools/oauth2/sign_out?rd=/tools/report")
    assert browser.submit(asked, "#sign-out").status_code == 303
    assert house.get_raw("/tools/oauth2/auth", cookie=cookie).status == 401


def test_lo_3_rd_is_where_the_button_of_the_last_page_leads(house: House) -> None:
    browser = house.browser()
    left = browser.post(f"{house.url}/oauth2/sign_out?rd=/report")
    assert (left.status_code, left.headers["location"]) == (303, "/oauth2/sign_out?rd=%2Freport")
    last = browser.follow(left)
    assert 'href="/oauth2/start?rd=%2Freport"' in last.text
    assert "/auth/" not in last.text


def test_or_1_rd_of_a_sign_out_must_be_a_page_of_this_front_door(house: House) -> None:
    browser = house.sign_in()
    nobody = house.browser()
    for payloads in REDIRECT_TARGETS.values():
        for payload in payloads:
            for encoded in encodings(filled(house, payload))[:2]:
                address = f"{house.url}/oauth2/sign_out?rd={encoded}"
                for answer in (nobody.post(address), nobody.get(address), browser.get(address)):
                    assert answer.status_code in (200, 303, 414), payload
                    assert "evil" not in answer.headers.get("location", "") + _links_of(answer.text), payload
    assert house.is_signed_in(browser)


def _links_of(page: str) -> str:
    """Every link and form target that leads to another host."""
    found = re.findall(r'(?:href|action)="([^"]*)"', page)
    return " ".join(link for link in found if not link.startswith("/") or link.startswith(("//", "/\\")))


def test_userinfo_says_who_is_there_in_the_old_words(house: House) -> None:
    browser = house.sign_in()
    answer = browser.fetch(f"{house.url}/oauth2/userinfo")
    assert answer.json() == {
        "user": "alice",
        "email": "alice@example.com",
        "groups": ["science"],
        "preferredUsername": "alice",
    }
    assert (answer.headers["cache-control"], answer.headers["vary"]) == ("no-store", "Cookie")
    assert house.browser().fetch(f"{house.url}/oauth2/userinfo").status_code == 401


def test_userinfo_names_no_address_that_nobody_verified(house: House) -> None:
    house.provider.people["alice"].email_verified = False
    try:
        browser = house.sign_in()
    finally:
        house.provider.people["alice"].email_verified = True
    assert browser.fetch(f"{house.url}/oauth2/userinfo").json()["email"] == ""


def test_userinfo_leaves_out_what_there_is_not(house: House) -> None:
    browser = house.sign_in("bob")
    assert browser.fetch(f"{house.url}/oauth2/userinfo").json() == {
        "user": "bob",
        "email": "bob@example.com",
        "preferredUsername": "bob",
    }
