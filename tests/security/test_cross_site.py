"""CS: requests that another site makes with a person's cookie; preflights; the headers of our own pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes import CookieClient
from tests.payloads.origins import FAULTS as ORIGIN_FAULTS
from tests.payloads.origins import FOREIGN_SITES, foreign_origins
from tests.payloads.requests import IDENTITY_HEADERS
from tests.security.house import House
from tests.security.rejection import assert_rejected

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]
SIBLINGS = ["http://evil.localhost", "http://localhost:1", "https://evil.example", "http://127.0.0.1"]


def with_cookie(house: House, browser: CookieClient, **headers: str | None) -> dict[str, str | None]:
    """Headers with the session cookie, for cases where SameSite does not help: old browsers, neighbouring hosts."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"Cookie": f"vestibule={house.session_cookie(browser)}", **named}


@pytest.fixture(scope="module")
def person() -> Iterator[CookieClient]:
    """One browser for all attacks: none of them may end its session."""
    with CookieClient() as browser:
        yield browser


@pytest.fixture
def signed_in(house: House, person: CookieClient) -> CookieClient:
    if not house.is_signed_in(person):
        house.sign_in(browser=person)
    house.upstream.clear()
    return person


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("initiator", SIBLINGS)
@pytest.mark.parametrize("path", ["/api/x", "/models/x", "/optional/x"])
def test_cs_1_a_call_to_an_api_from_another_origin_is_refused(
    house: House, signed_in: CookieClient, method: str, initiator: str, path: str
) -> None:
    def attack() -> httpx.Response:
        headers = with_cookie(house, signed_in)
        return signed_in.fetch(house.url + path, method=method, initiator=initiator, headers=headers)

    assert_rejected(house, attack, statuses=[403])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [None, "", "0", "true", "1, 1", "11"])
def test_cs_1_a_client_without_browser_headers_needs_the_csrf_header(
    house: House, signed_in: CookieClient, method: str, value: str | None
) -> None:
    silence = {"Origin": None, "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None}
    headers: dict[str, str | None] = {**silence, "X-Vestibule-CSRF": value}
    assert_rejected(
        house, lambda: signed_in.fetch(f"{house.url}/api/x", method=method, headers=headers), reason="csrf_missing"
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["X-Vestibule-CSRF: 0"],
        ["X-Vestibule-CSRF: 1", "X-Vestibule-CSRF: 1"],
        ["X_Vestibule_CSRF: 1"],
        ["X-Vestibule_CSRF: 1"],
        ["X.Vestibule.CSRF: 1"],
        ["X-CSRF: 1"],
        ["X-Requested-With: XMLHttpRequest"],
    ],
)
def test_cs_1_the_strict_mode_needs_the_csrf_header_on_every_call(
    house: House, signed_in: CookieClient, method: str, lines: list[str]
) -> None:
    cookie = house.session_cookie(signed_in)
    own = ["Sec-Fetch-Site: same-origin", f"Origin: {house.url}"]
    assert_rejected(
        house, lambda: house.get_raw("/strict/x", *own, *lines, method=method, cookie=cookie), reason="csrf_missing"
    )


def test_cs_1_a_call_with_the_csrf_header_passes_in_strict_mode(house: House, signed_in: CookieClient) -> None:
    headers = {"X-Vestibule-CSRF": "1"}
    for method in METHODS:
        assert signed_in.fetch(f"{house.url}/strict/x", method=method, headers=headers).status_code == 200


@pytest.mark.parametrize("method", METHODS)
def test_cs_1_another_origin_cannot_read_answers_of_the_front_door(house: House, method: str) -> None:
    browser = house.sign_in()
    headers = with_cookie(house, browser)
    answer = browser.fetch(
        f"{house.url}/auth/session", method=method, headers=headers, initiator="https://evil.example"
    )
    assert answer.status_code in (403, 405)
    assert b"alice" not in answer.content


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("path", ["/api/x", "/page", "/optional/x"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null", "Sec-Fetch-Site": None},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
        *({"Sec-Fetch-Site": site, "Origin": None} for site in FOREIGN_SITES),
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_cs_2_unsafe_methods_need_the_same_origin(
    house: House, signed_in: CookieClient, method: str, path: str, headers: dict[str, str | None]
) -> None:
    assert_rejected(
        house, lambda: signed_in.fetch(house.url + path, method=method, headers=headers), statuses=[403], token_hits=0
    )


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("path", ["/api/x", "/page", "/optional/x"])
def test_cs_2_a_form_of_a_page_with_referrer_policy_no_referrer_is_accepted(
    house: House, signed_in: CookieClient, method: str, path: str
) -> None:
    """With `Referrer-Policy: no-referrer`, browsers send `Origin: null`. No page can set `Sec-Fetch-Site`."""
    headers: dict[str, str | None] = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert signed_in.fetch(house.url + path, method=method, headers=headers).status_code == 200


@pytest.mark.parametrize(("referer", "status"), [("/page", 200), ("", 403), ("https://evil.example/", 403)])
def test_cs_1_an_old_browser_can_read_an_api_with_the_referer_of_its_page(
    house: House, signed_in: CookieClient, referer: str, status: int
) -> None:
    """Safari before 16.4 sends no fetch metadata, and no Origin with a read."""
    silence = {"Origin": None, "Sec-Fetch-Site": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Dest": None}
    page = house.url + referer if referer.startswith("/") else referer
    headers: dict[str, str | None] = {**silence, "Referer": page or None}
    answer = signed_in.fetch(f"{house.url}/api/x", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "Safari 16.4" in answer.json()["detail"]


ALONE_REFUSED = {(fault, site) for fault in ORIGIN_FAULTS for site in (None, "same-origin")} - {("null", "same-origin")}


@pytest.mark.parametrize(("fault", "site"), sorted(ALONE_REFUSED, key=str))
def test_cs_2_the_origin_is_compared_completely(
    house: House, signed_in: CookieClient, fault: str, site: str | None
) -> None:
    headers: dict[str, str | None] = {"Origin": foreign_origins(house.url)[fault], "Sec-Fetch-Site": site}
    answer = signed_in.fetch(f"{house.url}/api/x", method="POST", headers=headers)
    assert (answer.status_code, house.upstream.requests) == (403, [])


def test_cs_2_the_origin_is_compared_without_case(house: House, signed_in: CookieClient) -> None:
    headers: dict[str, str | None] = {"Origin": house.url.upper(), "Sec-Fetch-Site": None}
    assert signed_in.fetch(f"{house.url}/api/x", method="POST", headers=headers).status_code == 200


SIMPLE_REQUESTS: dict[str, dict[str, Any]] = {
    "text/plain JSON": {"headers": {"Content-Type": "text/plain"}, "content": b'{"a":1}'},
    "urlencoded": {"headers": {"Content-Type": "application/x-www-form-urlencoded"}, "content": b"a=1"},
    "multipart": {"headers": {"Content-Type": "multipart/form-data; boundary=x"}, "content": b"--x--"},
    "no body": {"headers": {}},
    "beacon": {"headers": {"Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Mode": "no-cors"}, "content": b"x"},
    "method override": {
        "headers": {"X-HTTP-Method-Override": "GET", "X-HTTP-Method": "GET", "X-Method-Override": "GET"}
    },
    "JSON": {"headers": {"Content-Type": "application/json"}, "content": b"{}"},
}


@pytest.mark.parametrize("kind", SIMPLE_REQUESTS)
@pytest.mark.parametrize("path", ["/api/x", "/api/x?_method=GET", "/page", "/auth/logout"])
@pytest.mark.parametrize("initiator", ["https://evil.example", "http://evil.localhost"])
def test_cs_3_simple_requests_from_another_site_are_refused(
    house: House, signed_in: CookieClient, kind: str, path: str, initiator: str
) -> None:
    request = SIMPLE_REQUESTS[kind]

    def attack() -> httpx.Response:
        headers = {**with_cookie(house, signed_in), **request["headers"]}
        content = request.get("content")
        return signed_in.fetch(house.url + path, method="POST", initiator=initiator, headers=headers, content=content)

    assert_rejected(house, attack, statuses=[403])
    assert house.is_signed_in(signed_in)


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"]
)
def test_cs_3_method_override_headers_do_not_change_the_method(
    house: House, signed_in: CookieClient, name: str
) -> None:
    signed_in.fetch(f"{house.url}/api/x", headers={name: "DELETE"})
    assert house.upstream.last.method == "GET"
    assert b"override" not in house.upstream.last.head.lower()
    assert b"http-method" not in house.upstream.last.head.lower()


@pytest.mark.parametrize("path", ["/api/x", "/models/x", "/strict/x", "/page", "/admin/x", "/auth/session"])
@pytest.mark.parametrize("with_session", [True, False])
def test_cs_5_a_preflight_reaches_no_upstream(
    house: House, signed_in: CookieClient, path: str, with_session: bool
) -> None:
    cookie = house.session_cookie(signed_in) if with_session else ""
    lines = ["Origin: https://evil.example", "Access-Control-Request-Method: DELETE", "Sec-Fetch-Mode: cors"]
    lines += ["Access-Control-Request-Headers: x-vestibule-csrf", "Sec-Fetch-Site: cross-site"]
    lines += [f"{name}: admin" for name in IDENTITY_HEADERS]
    answer = house.get_raw(path, *lines, method="OPTIONS", cookie=cookie)
    assert answer.status in range(400, 500)
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
    assert house.upstream.requests == []


@pytest.mark.parametrize("path", ["/optional/x", "/public/x"])
def test_cs_5_a_preflight_of_a_public_route_is_passed_on_without_an_identity(house: House, path: str) -> None:
    lines = ["Origin: https://evil.example", "Access-Control-Request-Method: DELETE", "Authorization: Bearer x"]
    spoofed = [f"{name}: admin" for name in IDENTITY_HEADERS]
    house.upstream.respond(
        "/*", headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
    )
    answer = house.get_raw(path, *lines, *spoofed, method="OPTIONS")
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]
    for request in house.upstream.requests:
        assert b"admin" not in request.head
        assert path == "/public/x" or request.header("authorization") is None


OWN_PAGES = ["/auth/logout", "/auth/logged-out", "/auth/account", "/auth/nothing", "/auth/callback/corp", "/admin/x"]


@pytest.mark.parametrize("path", OWN_PAGES)
def test_cs_6_pages_of_the_front_door_have_security_headers(house: House, path: str) -> None:
    browser = house.sign_in("bob")
    answer = browser.get(house.url + path)
    assert answer.headers["content-type"].startswith("text/html")
    policy = {
        part.strip().split(" ")[0]: part.strip().split(" ")[1:]
        for part in answer.headers["content-security-policy"].split(";")
    }
    assert policy["default-src"] == ["'none'"]
    for directive in ("object-src", "base-uri", "frame-ancestors"):
        assert policy[directive] == ["'none'"]
    assert "script-src" not in policy or all("nonce-" in source for source in policy["script-src"])
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
    assert answer.headers["cache-control"] == "no-store"
    for nonce in re.findall(r'nonce="([^"]+)"', answer.text):
        assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
    assert not re.search(r"<[^>]+\son\w+=", answer.text)
    again = browser.get(house.url + path)
    assert again.headers["content-security-policy"] != answer.headers["content-security-policy"]


def test_cs_6_json_of_the_front_door_has_nosniff(house: House) -> None:
    browser = house.sign_in()
    for path in ("/auth/session", "/auth/jwks.json", "/auth/guard.js", "/auth/nothing"):
        assert browser.fetch(house.url + path).headers["x-content-type-options"] == "nosniff"


def test_cs_6_other_sites_cannot_frame_a_page_of_an_upstream(house: House) -> None:
    browser = house.sign_in()
    house.upstream.respond("/page", body="<html><head></head></html>", headers={"Content-Type": "text/html"})
    answer = browser.get(f"{house.url}/page")
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
