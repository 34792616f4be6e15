from __future__ import annotations

import httpx
import pytest

from tests.fakes import CookieClient, CookieStore, FakeClock, FakeProvider, RecordingUpstream
from tests.fakes.cookie_store import parse_set_cookie

from .relying_party import RelyingParty


def set_cookies(upstream: RecordingUpstream, *cookies: str) -> None:
    upstream.respond("/set", headers=[("Set-Cookie", cookie) for cookie in cookies])


def test_cookies_keep_their_attributes_and_are_sent_to_the_right_addresses(
    upstream: RecordingUpstream, browser: CookieClient
) -> None:
    set_cookies(
        upstream,
        "__Host-id=1; Secure; HttpOnly; Path=/; SameSite=Lax",
        "deep=2; Path=/a/b; Max-Age=60",
        "default=3",
    )
    browser.get(f"{upstream.url}/set")
    cookie = browser.cookies["__Host-id"]
    assert (cookie.value, cookie.httponly, cookie.secure, cookie.samesite) == ("1", True, True, "Lax")
    assert (cookie.path, cookie.domain, cookie.host, cookie.max_age) == ("/", None, "127.0.0.1", None)
    assert browser.cookies["deep"].max_age == 60
    browser.get(f"{upstream.url}/a/b/c")
    assert upstream.last.header("cookie") == "deep=2; __Host-id=1; default=3"
    browser.get(f"{upstream.url}/a/bc")
    assert upstream.last.header("cookie") == "__Host-id=1; default=3"
    browser.get(f"http://localhost:{upstream.port}/")
    assert upstream.last.header("cookie") is None


def test_samesite_decides_which_cookies_a_cross_site_form_sends(
    upstream: RecordingUpstream, browser: CookieClient
) -> None:
    set_cookies(upstream, "lax=1; SameSite=Lax", "strict=1; SameSite=Strict", "none=1; SameSite=None; Secure", "bare=1")
    browser.get(f"{upstream.url}/set")
    browser.post(f"{upstream.url}/x", data={"a": "1 2"})
    assert set(upstream.last.cookies) == {"lax", "strict", "none", "bare"}
    assert (upstream.last.header("origin"), upstream.last.header("sec-fetch-site")) == (upstream.url, "same-origin")
    assert upstream.last.body == b"a=1+2"
    browser.post(f"{upstream.url}/x", cross_site=True)
    assert set(upstream.last.cookies) == {"none"}
    assert upstream.last.header("origin") == "https://evil.example"
    assert upstream.last.header("sec-fetch-site") == "cross-site"
    browser.get(f"{upstream.url}/x", cross_site=True)
    assert set(upstream.last.cookies) == {"lax", "none", "bare"}
    browser.fetch(f"{upstream.url}/x", cross_site=True)
    assert set(upstream.last.cookies) == {"none"}


def test_fetch_metadata_differs_for_a_navigation_and_a_script(
    upstream: RecordingUpstream, browser: CookieClient
) -> None:
    browser.get(upstream.url)
    sent = [upstream.last.header(f"sec-fetch-{part}") for part in ("mode", "dest", "site")]
    assert sent == ["navigate", "document", "none"]
    browser.fetch(upstream.url, method="POST", json={})
    sent = [upstream.last.header(f"sec-fetch-{part}") for part in ("mode", "dest", "site")]
    assert sent == ["cors", "empty", "same-origin"]
    assert upstream.last.header("origin") == upstream.url
    browser.get(upstream.url, headers={"sec-fetch-site": None, "ACCEPT": "text/plain"})
    assert upstream.last.header("sec-fetch-site") is None
    assert upstream.last.header("accept") == "text/plain"


def test_redirects_are_followed_one_at_a_time_and_only_on_request(
    upstream: RecordingUpstream, browser: CookieClient
) -> None:
    upstream.respond("/1", status=302, headers={"Location": "/2", "Set-Cookie": "hop=1"})
    upstream.respond("/2", status=307, headers={"Location": "3"})
    upstream.respond("/loop", status=302, headers={"Location": "/loop"})
    first = browser.post(f"{upstream.url}/1", data={"a": "b"})
    assert first.status_code == 302
    assert browser.follow(first).status_code == 307
    assert (upstream.last.method, upstream.last.header("cookie")) == ("GET", "hop=1")
    assert [response.url.path for response in browser.walk(first)] == ["/1", "/2", "/3"]
    with pytest.raises(AssertionError, match="more than 3 hops"):
        browser.walk(browser.get(f"{upstream.url}/loop"), max_hops=3)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("__Host-a=1; Secure; Path=/; Domain=gw.example", "https://gw.example/"),
        ("__Host-a=1; Secure", "https://gw.example/"),
        ("__Secure-a=1", "https://gw.example/"),
        ("a=1; Domain=example.org", "https://gw.example/"),
        ("a=1; Secure", "http://gw.example/"),
        ("a=1; SameSite=None", "https://gw.example/"),
        ("a=" + "x" * 5000, "https://gw.example/"),
    ],
)
def test_the_fake_browser_refuses_cookies_that_browsers_refuse(raw: str, url: str) -> None:
    assert parse_set_cookie(raw, httpx.URL(url), now=0).refused


def test_domain_and_secure_decide_where_a_cookie_is_sent() -> None:
    store = CookieStore()
    store.set("wide", "1", "https://gw.example/", attributes="Domain=.gw.example; Secure; Path=/")
    assert store.for_url("https://sub.gw.example/")
    assert not store.for_url("https://evilgw.example/")
    assert not store.for_url("http://gw.example/")


def test_cookies_end_at_their_max_age_and_by_deletion(upstream: RecordingUpstream) -> None:
    clock = FakeClock()
    with CookieClient(clock=clock) as browser:
        set_cookies(upstream, "short=1; Max-Age=10", "gone=1")
        browser.get(f"{upstream.url}/set")
        clock.advance(11)
        assert [cookie.name for cookie in browser.cookies] == ["gone"]
        set_cookies(upstream, "gone=; Max-Age=0")
        browser.get(f"{upstream.url}/set")
        assert len(browser.cookies) == 0
        assert [cookie.name for cookie in browser.cookies.history] == ["short", "gone", "gone"]


def test_two_browsers_share_no_cookies(upstream: RecordingUpstream, browser: CookieClient) -> None:
    set_cookies(upstream, "a=1")
    browser.get(f"{upstream.url}/set")
    with CookieClient() as other:
        other.get(upstream.url)
    assert upstream.last.header("cookie") is None


def test_a_sign_in_with_form_post_reaches_the_callback(upstream: RecordingUpstream, browser: CookieClient) -> None:
    with FakeProvider(auto_login="alice", host="localhost") as provider:
        rp = RelyingParty(provider)
        params = rp.authorization_params(response_mode="form_post", redirect_uri=f"{upstream.url}/callback")
        browser.cookies.set("lax", "1", upstream.url, attributes="SameSite=Lax; Path=/")
        responses = browser.walk(browser.get(f"{provider.base}/authorize", params=params))
        rp.close()
    assert [response.url.path for response in responses] == ["/authorize", "/callback"]
    assert (upstream.last.method, upstream.last.header("origin")) == ("POST", provider.issuer)
    assert upstream.last.header("sec-fetch-site") == "cross-site"
    assert upstream.last.header("cookie") is None
    assert b"state=the-state" in upstream.last.body


def test_the_fake_clock_moves_only_when_a_test_moves_it() -> None:
    clock = FakeClock(100)
    assert (clock(), clock.advance(2.5), clock()) == (100.0, 102.5, 102.5)
