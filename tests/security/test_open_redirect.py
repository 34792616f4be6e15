"""OR: after a sign-in a browser is only sent to pages of this front door."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx
import pytest

from bff.browser.return_to import is_allowed_origin_target
from tests.fakes import CookieClient, FakeProvider
from tests.front_door import provider_table
from tests.payloads.return_targets import NO_PLACES_TO_RETURN_TO, REDIRECT_TARGETS, encodings
from tests.security.house import House, location_query

MAX_RETURN_TO = 8_192


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


def filled(house: House, payload: str) -> str:
    return payload.replace("{own}", house.url).replace("{host}", house.host)


def as_browsers_read(location: str) -> str:
    """Read a Location as a browser does (URL Standard 4.4).

    It removes outer spaces and control characters. A backslash is a slash.
    """
    stripped = re.sub(r"[\t\r\n]", "", location.strip("".join(map(chr, range(0x21)))))
    head, mark, query = stripped.partition("?")
    return head.replace("\\", "/") + mark + query


def lands_on(house: House, location: str) -> str:
    """The origin a browser ends on after this Location, read as leniently as any browser does."""
    target = urlsplit(urljoin(f"{house.url}/auth/callback/corp", as_browsers_read(location)))
    return f"{target.scheme}://{target.netloc}"


def finish(house: House, browser: CookieClient, query: str) -> httpx.Response:
    """Do a whole sign-in with this raw query. Return the answer that sends the browser on, or the refusal."""
    start = browser.get(f"{house.url}/auth/login?{query}")
    if start.status_code != 302:
        return start
    assert "evil" not in start.headers["location"], "the target went to the provider"
    return browser.get(browser.follow(start).headers["location"])


@pytest.mark.parametrize("name", REDIRECT_TARGETS)
def test_or_1_return_to_must_be_a_local_path(house: House, name: str) -> None:
    browser = house.browser()
    for payload in REDIRECT_TARGETS[name]:
        text = filled(house, payload)
        for encoded in encodings(text):
            answer = finish(house, browser, f"return_to={encoded}")
            assert answer.status_code in (303, 400, 414), (payload, answer.status_code)
            if answer.status_code == 303:
                location = answer.headers["location"]
                assert lands_on(house, location) == house.url, (payload, location)
                assert location.startswith("/")
                assert not location.startswith(("//", "/\\"))
                assert len(location) <= MAX_RETURN_TO
                assert answer.headers.get_list("location") == [location]
                assert not unquote(location).startswith(("//", "/\\", "/\t"))
            else:
                assert "evil.com" not in answer.text


@pytest.mark.parametrize("name", REDIRECT_TARGETS)
def test_or_1_the_referring_page_must_meet_the_rules_of_return_to(house: House, name: str) -> None:
    """`st.login` names no target, so the Referer is used."""
    browser = house.browser()
    for payload in REDIRECT_TARGETS[name]:
        referer = filled(house, payload)
        if (
            not referer.isascii()
            or re.search(r"[\x00-\x1f]", referer)
            or referer != referer.strip()
            or len(referer) > 4_000
        ):
            continue  # no client sends such a header field
        for value in (referer, house.url + referer):
            start = browser.get(f"{house.url}/auth/login", headers={"Referer": value})
            answer = browser.get(browser.follow(start).headers["location"])
            assert answer.status_code == 303
            assert lands_on(house, answer.headers["location"]) == house.url
            assert answer.headers["location"].startswith("/")


@pytest.mark.parametrize(
    "query",
    [
        "return_to=/a&return_to=//evil.com",
        "return_to=//evil.com&return_to=/a",
        "return_to[]=//evil.com",
        "return_to%5B%5D=//evil.com",
        "rd=//evil.com",
        "next=//evil.com",
        "redirect_uri=//evil.com",
        "RETURN_TO=//evil.com",
        "return_to=/ok%00&return_to=",
        "return_to;return_to=//evil.com",
    ],
)
def test_or_1_other_parameter_names_and_repetitions_are_ignored(house: House, query: str) -> None:
    answer = finish(house, house.browser(), query)
    assert answer.status_code in (303, 400)
    if answer.status_code == 303:
        assert answer.headers["location"] == "/"


def test_or_1_the_target_is_kept_only_in_the_store(house: House) -> None:
    browser = house.browser()
    start = house.start_login(browser, return_to="/reports/42?secret=canary-of-the-target")
    assert "canary" not in start.headers["location"]
    assert all("canary" not in cookie.value for cookie in browser.cookies)
    answer = browser.get(browser.follow(start).headers["location"] + "&return_to=//evil.com")
    assert answer.headers["location"] == "/reports/42?secret=canary-of-the-target"


def test_or_1_a_target_over_eight_kilobytes_is_ignored_and_logged(house: House) -> None:
    for length, is_kept in ((6_000, True), (8_192, True), (8_193, False)):
        target = "/" + "a" * (length - 1)
        house.audit.clear()
        answer = finish(house, house.browser(), f"return_to={target}")
        assert answer.headers["location"] == (target if is_kept else "/")
        details = [event["detail"] for event in house.audit if event.get("reason") == "return_to_replaced"]
        assert details == ([] if is_kept else ["longer than 8192 bytes"])


@pytest.mark.parametrize(
    "target",
    [
        "/page?filter=" + "%20" * 2_000,
        "/files/" + "%E5%A0%B1" * 660 + ".pdf",
        "/files/100%25.txt",
        "/files/50%252525.txt",
        "/files/r%C3%A9sum%C3%A9%20(1)%20%232%20%26%2050%25.txt",
        "/files/%E5%A0%B1%E5%91%8A%EF%BC%88%E6%9C%80%E7%B5%82%EF%BC%89.pdf",
        "/files/a%EF%BC%8Fb%C2%A0c%3b%3f.txt",
        "/files/" + "%25" * 2_600,
    ],
    ids=lambda target: f"{target[:30]} {len(target)} bytes",
)
def test_or_1_every_address_of_a_page_is_accepted_as_a_target(house: House, target: str) -> None:
    """From the deep link to the page: the address of the sign-in holds the whole link, encoded."""
    browser = house.browser()
    to_login = browser.get(f"{house.url}{target}", headers=NAVIGATION)
    assert to_login.status_code == 302
    answers = browser.walk(browser.follow(to_login))
    assert [each.headers["location"] for each in answers if "location" in each.headers][-1] == target
    assert str(answers[-1].url) == house.url + target


def test_or_1_the_sign_in_page_says_when_nobody_can_be_sent_back_to_the_page(house: House) -> None:
    answer = house.browser().get(f"{house.url}/@ada", headers=NAVIGATION)
    assert answer.status_code == 401
    assert "You will come to the start page" in answer.text
    assert 'href="/auth/login?return_to=%2F"' in answer.text


@pytest.mark.parametrize("target", ["/api/x", "/admin%3fx", "/auth/logout"])
def test_or_3_a_target_that_is_not_a_page_leaves_a_log_line(house: House, target: str) -> None:
    house.audit.clear()
    answer = finish(house, house.browser(), f"return_to={quote(target, safe='')}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert [event["event"] for event in house.audit].count("return_to_is_no_page") == 1


def test_or_1_the_sign_in_page_says_when_the_target_was_replaced(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    tables = {name: provider_table(provider, par="off") for name in ("corp", "partner")}
    several = build_house(providers=tables)
    for target, is_said in (("/page", False), ("/api/x", True), ("//evil.com", True)):
        answer = several.browser().get(f"{several.url}/auth/login", params={"return_to": target})
        assert ("You will come to the start page" in answer.text) == is_said


def test_or_1_an_error_page_links_only_to_local_pages(house: House) -> None:
    browser = house.browser()
    for payload in ("//evil.com", "/\\evil.com", "https://evil.com", "javascript:alert(1)"):
        url = house.callback_url(browser, return_to=payload)
        answer = browser.get(url.replace("code=", "error=access_denied&x="))
        assert answer.status_code == 400
        for href in re.findall(r'href="([^"]*)"', answer.text):
            assert href.startswith("/auth/login")
            assert "evil" not in unquote(href)


@pytest.mark.parametrize("path", ["//evil.com/%2e%2e", "/\\evil.com", "/.//evil.com", "/%2f/evil.com", "/x//evil.com"])
def test_or_1_a_signed_out_visit_of_a_crafted_path_does_not_redirect_to_another_site(house: House, path: str) -> None:
    answer = house.get_raw(path, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert answer.status in (302, 400)
    location = answer.header("location")
    assert not location or location.startswith("/auth/login?return_to=")


ORIGINS = ["https://gw.example", "https://app.gw.example:8443"]
FOREIGN_ORIGINS = [
    "https://gw.example@evil.com",
    "https://evil.com\\@gw.example",
    "https://evil.com#@gw.example",
    "https://gw.example:pw@evil.com:443",
    "https://gw.example.evil.com",
    "https://evilgw.example",
    "https://gw.example:8443",
    "https://gw.example:443",
    "http://gw.example",
    "https://evil.com%E3%80%82gw.example",
    "https://evil\u3002com",
    "https://app.gw.example",
    "https://sub.gw.example",
    "https://app.gw.example:8443@evil.com/",
    "https://user@gw.example/",
    "https://gw.example/\\evil.com",
    "https://gw.example//evil.com",
    "https://gw.example#fragment",
    "https:gw.example",
    "https:/gw.example",
    "//gw.example",
    "gw.example",
    "javascript://gw.example/%0aalert(1)",
    "https://gw.example:80443/",
    "https://gw.example:/",
    " https://gw.example",
    "https://gw.example\t",
    "https://[gw.example",
    "https://",
    "",
]


@pytest.mark.parametrize("url", FOREIGN_ORIGINS)
def test_or_2_an_absolute_target_needs_exactly_a_configured_origin(url: str) -> None:
    assert not is_allowed_origin_target(url, ORIGINS)


@pytest.mark.parametrize(
    "url", ["https://gw.example", "https://gw.example/", "https://gw.example/a?b=c", ORIGINS[1] + "/x"]
)
def test_or_2_a_configured_origin_is_accepted_as_a_target(url: str) -> None:
    assert is_allowed_origin_target(url, ORIGINS)


@pytest.mark.parametrize("target", [*FOREIGN_ORIGINS, "https://gw.example", "https://app.gw.example:8443/x"])
def test_or_2_a_sign_in_in_the_browser_accepts_no_absolute_target(house: House, target: str) -> None:
    answer = finish(house, house.browser(), f"return_to={encodings(target)[0]}")
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("target", NO_PLACES_TO_RETURN_TO)
def test_or_3_sign_in_endpoints_apis_and_sockets_are_not_accepted_as_targets(house: House, target: str) -> None:
    for encoded in encodings(target)[:1]:
        answer = finish(house, house.browser(), f"return_to={encoded}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/auth/account", "/auth/account"),
        ("/auth/account?x=1", "/auth/account?x=1"),
        ("/auth%2faccount", "/"),
        ("/%61uth/account", "/"),
        ("/auth/account%2f..%2flogout", "/"),
        ("/auth/account/", "/"),
    ],
)
def test_or_3_the_account_page_is_accepted_as_a_target_only_with_its_exact_path(
    house: House, target: str, expected: str
) -> None:
    """With another spelling, a browser would open another page than the one that was allowed."""
    answer = finish(house, house.browser(), f"return_to={quote(target, safe='')}")
    assert (answer.status_code, answer.headers["location"]) == (303, expected)


def test_or_3_a_page_is_accepted_as_a_target(house: House) -> None:
    for target in ("/page", "/page?x=//evil.com", "/a/b/c", "/%41?y=1", "/public/x"):
        answer = finish(house, house.browser(), f"return_to={encodings(target)[0]}")
        assert answer.headers["location"] == target


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL"])
@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/api", "/api/", "/auth/login", "/auth/logout", "/auth/login/", "/auth"]
)
def test_or_3_no_request_header_changes_a_redirect_location(house: House, header: str, path: str) -> None:
    value = "host=evil.example" if header == "Forwarded" else "evil.example"
    request = f"GET {path} HTTP/1.1\r\nConnection: close\r\nAccept: text/html\r\n"
    request += f"Host: {value}\r\n" if header == "Host" else f"Host: {house.host}\r\n{header}: {value}\r\n"
    received = house.raw(request.encode() + b"\r\n")
    assert b"evil" not in received
    assert header != "Host" or received.startswith(b"HTTP/1.1 421")


UPSTREAM_REDIRECTS: dict[str, tuple[str, str]] = {
    "own origin": ("{upstream}/x?y#z", "/api/x?y#z"),
    "slash": ("/x/", "/api/x/"),
    "elsewhere": ("https://partner.example/x", "https://partner.example/x"),
}


@pytest.mark.parametrize("case", UPSTREAM_REDIRECTS)
def test_or_3_a_redirect_of_an_upstream_shows_no_internal_address(house: House, case: str) -> None:
    given, expected = UPSTREAM_REDIRECTS[case]
    location = given.replace("{upstream}", house.upstream.url)
    house.upstream.respond("/x", status=302, headers={"Location": location})
    answer = house.sign_in().fetch(f"{house.url}/api/x")
    assert (answer.status_code, answer.headers["location"]) == (302, expected)


def test_or_3_the_sign_in_page_of_several_providers_keeps_targets_local(
    build_house: Callable[..., House], provider: FakeProvider
) -> None:
    tables = {name: provider_table(provider, par="off") for name in ("corp", "partner")}
    several = build_house(providers=tables)
    for payload in ("//evil.com", "/\\evil.com", '"><script>', "javascript:alert(1)"):
        answer = several.browser().get(f"{several.url}/auth/login", params={"return_to": payload})
        assert answer.status_code == 200
        assert "evil" not in answer.text
        assert "<script" not in answer.text
        for href in re.findall(r'href="([^"]*)"', answer.text):
            assert href.startswith("/auth/login?")


def test_or_1_the_authorization_request_is_the_same_for_every_target(house: House) -> None:
    plain = location_query(house.start_login(house.browser()))
    other = location_query(house.start_login(house.browser(), return_to="//evil.com"))
    assert plain.keys() == other.keys()
    assert plain["redirect_uri"] == other["redirect_uri"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/auth/login?return_to=/" + "%61" * 8_100, 302),
        ("/auth/login?return_to=/" + "%61" * 9_000, 414),
        ("/auth/loginx?return_to=/" + "%61" * 8_100, 414),
        ("/page?return_to=/" + "%61" * 8_100, 414),
    ],
    ids=["a sign-in", "a sign-in that is too long", "another endpoint", "a page"],
)
def test_or_1_only_a_sign_in_address_may_contain_another_encoded_address(
    house: House, target: str, status: int
) -> None:
    assert house.get_raw(target, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document").status == status
