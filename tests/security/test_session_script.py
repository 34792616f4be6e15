"""The session-end script is never inserted where it would change what a document means or may do (PX-17)."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest

from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.fakes.replies import HANG
from tests.front_door import page_route
from tests.security.house import House, open_house

TAG = b'<script src="/auth/guard.js"></script>'
PAGE = b"<!doctype html><html><head><title>t</title></head><body>b</body></html>"
WITH_TAG = PAGE.replace(b"<head>", b"<head>" + TAG)
HTML = ("Content-Type", "text/html; charset=utf-8")
VALIDATORS = [("ETag", '"1"'), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Accept-Ranges", "bytes")]


@pytest.fixture(scope="module")
def house(shared_provider: FakeProvider) -> Iterator[House]:
    with RecordingUpstream() as upstream:
        routes = [
            page_route(upstream),
            page_route(upstream, id="plain", path="/plain", session_guard="off"),
            page_route(upstream, id="open", path="/open", auth="public"),
            page_route(upstream, id="mixed", path="/mixed", auth="optional"),
            page_route(upstream, id="api", path="/api", kind="api"),
        ]
        with open_house(shared_provider, upstream, routes=routes) as opened:
            yield opened


@pytest.fixture(scope="module")
def alice(house: House) -> CookieClient:
    browser: CookieClient = house.sign_in()
    return browser


def navigate(house: House, browser: CookieClient, path: str, **headers: str) -> httpx.Response:
    return browser.get(house.url + path, headers=headers)


def navigation(house: House, browser: CookieClient) -> dict[str, str]:
    """Request headers for an answer that is read while it comes."""
    cookie = f"vestibule={house.session_cookie(browser)}"
    return {"Cookie": cookie, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def serve(house: House, path: str, body: bytes, *headers: tuple[str, str]) -> None:
    house.upstream.respond(path, headers=[HTML, *headers], body=body)


def test_px_17_a_navigation_on_a_page_route_gets_the_script_and_its_new_length(
    house: House, alice: CookieClient
) -> None:
    serve(house, "/a", PAGE, *VALIDATORS)
    answer = navigate(house, alice, "/a", **{"If-None-Match": '"1"', "Accept-Encoding": "gzip"})
    assert answer.content == WITH_TAG
    assert answer.headers["content-length"] == str(len(WITH_TAG))
    assert answer.headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "accept-ranges"} & set(answer.headers)
    asked = house.upstream.last
    assert (asked.header("accept-encoding"), asked.header("if-none-match")) == ("identity", None)


def test_px_17_a_streamed_document_gets_its_headers_before_its_first_byte(house: House, alice: CookieClient) -> None:
    house.upstream.respond("/never", headers=[HTML], stream=[HANG], chunked=True)
    with httpx.stream("GET", f"{house.url}/never", headers=navigation(house, alice)) as answer:
        assert answer.status_code == 200
    house.upstream.respond("/slow", headers=[HTML], stream=[0.1, PAGE], chunked=True)
    assert navigate(house, alice, "/slow").content == WITH_TAG


@pytest.mark.parametrize(
    "body",
    [
        b'<!doctype html><p title="<head ><img src=x onerror=alert(1)>">',
        b"<script>let a = '<head >'</script>",
        b"<!doctype html><p>no head</p>",
        b"",
    ],
    ids=["attribute", "script", "no head", "empty"],
)
def test_px_17_a_document_without_the_script_is_passed_on_byte_for_byte_with_its_headers(
    house: House, alice: CookieClient, body: bytes
) -> None:
    serve(house, "/odd", body, *VALIDATORS)
    answer = navigate(house, alice, "/odd")
    assert answer.content == body
    assert answer.headers["content-length"] == str(len(body))
    assert {name: answer.headers[name] for name, _ in VALIDATORS} == dict(VALIDATORS)


def test_px_17_attachments_are_not_changed(house: House, alice: CookieClient) -> None:
    serve(house, "/report", PAGE, ("Content-Disposition", 'attachment; filename="r.html"'), *VALIDATORS)
    answer = navigate(house, alice, "/report")
    assert answer.content == PAGE
    assert answer.headers["etag"] == '"1"'


def test_px_17_the_rest_of_a_download_can_be_requested(house: House, alice: CookieClient) -> None:
    serve(house, "/report", PAGE, *VALIDATORS)
    navigate(house, alice, "/report", **{"Range": "bytes=5-", "If-Range": '"1"'})
    assert (house.upstream.last.header("range"), house.upstream.last.header("if-range")) == ("bytes=5-", '"1"')


@pytest.mark.parametrize("status", [204, 206, 304])
def test_px_17_answers_that_are_not_a_complete_document_are_not_changed(
    house: House, alice: CookieClient, status: int
) -> None:
    body = PAGE if status == 206 else b""
    house.upstream.respond("/part", status=status, headers=[HTML, *VALIDATORS], body=body)
    answer = navigate(house, alice, "/part")
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["etag"] == '"1"'


def test_px_17_the_answer_to_head_has_the_headers_of_the_upstream(house: House, alice: CookieClient) -> None:
    serve(house, "/a", PAGE, *VALIDATORS)
    answer = house.get_raw("/a", "Accept: text/html", method="HEAD", cookie=house.session_cookie(alice))
    assert answer.header("content-length") == str(len(PAGE))
    assert answer.header("etag") == '"1"'


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "HX-Request": "true"},
    ],
    ids=["fetch", "htmx"],
)
def test_px_17_html_fragments_are_not_changed(house: House, alice: CookieClient, headers: dict[str, str]) -> None:
    serve(house, "/a", PAGE, *VALIDATORS)
    answer = alice.fetch(house.url + "/a", headers={"Accept": "text/html", **headers})
    assert answer.content == PAGE
    assert answer.headers["etag"] == '"1"'


@pytest.mark.parametrize(
    ("path", "has_script"), [("/plain", False), ("/open", False), ("/api", False), ("/mixed", True)]
)
def test_px_17_only_page_routes_with_a_session_to_end_get_the_script(
    house: House, alice: CookieClient, path: str, *, has_script: bool
) -> None:
    serve(house, path, PAGE, *VALIDATORS)
    headers = {"X-Vestibule-CSRF": "1", "Accept-Encoding": "gzip"}
    answer = navigate(house, alice, path, **headers)
    assert (TAG in answer.content) is has_script
    assert ("etag" in answer.headers) is not has_script
    assert house.upstream.last.header("accept-encoding") == ("identity" if has_script else "gzip")


@pytest.mark.parametrize(
    ("policies", "tag"),
    [
        (["script-src 'self'"], TAG),
        (["script-src 'nonce-abc' 'strict-dynamic'"], TAG.replace(b'js">', b'js" nonce="abc">')),
        (["script-src 'self'", "script-src 'nonce-abc'"], TAG.replace(b'js">', b'js" nonce="abc">')),
        (["script-src 'self'", "script-src 'none'"], b""),
        (["script-src 'self', script-src 'none'"], b""),
        (["sandbox allow-forms"], b""),
    ],
    ids=["self", "nonce", "two headers with a nonce", "two headers", "two policies", "sandbox"],
)
def test_px_17_the_content_security_policy_of_the_upstream_is_never_weakened(
    house: House, alice: CookieClient, policies: list[str], tag: bytes
) -> None:
    serve(house, "/policy", PAGE, *(("Content-Security-Policy", policy) for policy in policies))
    answer = navigate(house, alice, "/policy")
    assert answer.content == PAGE.replace(b"<head>", b"<head>" + tag)
    assert answer.headers.get_list("content-security-policy") == policies


def test_px_17_a_document_without_the_script_leaves_one_log_line(
    house: House, alice: CookieClient, audit: list[MutableMapping[str, Any]]
) -> None:
    for number in range(3):
        serve(house, "/logged", PAGE, ("Content-Security-Policy", f"script-src 'nonce-{number}', script-src 'none' x:"))
        navigate(house, alice, "/logged")
    lines = [event for event in audit if event["event"] == "session_script_left_out"]
    assert [(line["route"], line["reason"], line["detail"]) for line in lines if "x:" in line["detail"]] == [
        ("dashboards", "policy", "script-src 'none' x:")
    ]


def test_px_17_an_upstream_error_before_the_decision_gives_an_error_page(house: House, alice: CookieClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 500\r\n\r\n<!doctype html>"
    house.upstream.respond("/broken", raw=raw, close=True)
    assert navigate(house, alice, "/broken").status_code == 502


def test_px_17_an_upstream_error_after_the_decision_aborts_the_answer(house: House, alice: CookieClient) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 500\r\n\r\n<html><head>"
    house.upstream.respond("/broken", raw=raw, close=True)
    with pytest.raises(httpx.RemoteProtocolError):
        navigate(house, alice, "/broken")


def test_px_17_a_page_that_hangs_after_its_head_is_sent_up_to_that_point(house: House, alice: CookieClient) -> None:
    house.upstream.respond("/hanging", headers=[HTML], stream=[b"<html><head>", HANG], chunked=True)
    with httpx.stream("GET", f"{house.url}/hanging", headers=navigation(house, alice)) as answer:
        assert next(answer.iter_bytes()) == b"<html><head>" + TAG
