"""FA-1 to FA-7 before real proxies, each with the file that operators get in `deploy/`."""

from __future__ import annotations

import base64
import os

import jwt
import pytest

from bff.contract import EndReason
from tests.bff.factories import resume
from tests.payloads.paths import AMBIGUOUS
from tests.proxies.deployed import FORWARD_AUTH, Deployment
from tests.security.raw import RawAnswer

NAVIGATION = ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")
XHR = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
BREAKS_A_LINE = frozenset(b" \t\r\n\0")
SENDABLE = [raw for raw in AMBIGUOUS if raw.startswith(b"/") and not BREAKS_A_LINE.intersection(raw)]
FORGED = (
    *("X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Roles"),
    *("X-Auth-Request-Id", "X-Auth-Request-Name", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Omitted"),
    *("X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Access-Token"),
    *("Remote-User", "Remote-Groups", "X-Vestibule-Assertion", "X-Vestibule-Session", "X-WebAuth-User"),
    *("X-Auth-Request-Access-Token", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "X-Real-IP"),
)


def spellings(name: str) -> tuple[str, ...]:
    return (name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "."))


@pytest.fixture
def cookie(place: Deployment) -> str:
    browser, _ = place.sign_in()
    value = place.cookie_of(browser)
    place.web.clear()
    return value


def test_fa_1_a_signed_out_navigation_signs_in_and_comes_back_with_its_query(place: Deployment) -> None:
    _, pages = place.sign_in(path="/report?x=1&name=%C3%A9%20b")
    assert pages[0].status_code == 302
    assert pages[-1].status_code == 200
    assert str(pages[-1].url) == f"{place.url}/report?x=1&name=%C3%A9%20b"
    assert place.web.last.target == b"/report?x=1&name=%C3%A9%20b"


def test_fa_7_a_signed_out_navigation_to_a_long_address_comes_back(place: Deployment) -> None:
    path = "/report?" + "filter=%C3%A9&" * 400
    _, pages = place.sign_in(path=path)
    assert str(pages[-1].url) == place.url + path


def test_fa_1_a_signed_out_script_gets_401_as_json(place: Deployment) -> None:
    answer = place.ask("/api/models", *XHR)
    assert answer.status == 401
    assert b'"code": "login_required"' in answer.body
    assert place.api.requests == []


def test_fa_1_a_person_without_the_role_reads_why(place: Deployment, cookie: str) -> None:
    answer = place.ask("/admin/x", *NAVIGATION, cookie=cookie)
    assert answer.status == 403
    assert b"Alice" in answer.body
    assert answer.header("location") == ""
    assert place.web.requests == []


def test_fa_1_a_stronger_sign_in_is_asked_for(place: Deployment, cookie: str) -> None:
    answer = place.ask("/fresh", *NAVIGATION, cookie=cookie)
    assert answer.status == 302
    assert "/auth/login?return_to=%2Ffresh" in answer.header("location")


def test_fa_4_the_identity_arrives(place: Deployment, cookie: str) -> None:
    assert place.ask("/report", *NAVIGATION, cookie=cookie).status == 200
    got = place.web.last
    assert got.header("x-auth-request-user") == "alice"
    assert got.header("x-auth-request-email") == "alice@example.com"
    assert (got.header("authorization") or "") == ""


@pytest.mark.parametrize("path", ["/api", "/api?x=1", "/api/models"])
def test_fa_3_a_request_goes_to_the_application_of_its_route(place: Deployment, cookie: str, path: str) -> None:
    assert place.ask(path, *XHR, cookie=cookie).status == 200
    assert [got.target.decode() for got in place.api.requests] == [path]
    assert place.web.requests == []


def test_fa_6_an_api_gets_its_token(place: Deployment, cookie: str) -> None:
    assert place.ask("/api/models", *XHR, cookie=cookie).status == 200
    token = (place.api.last.header("authorization") or "").removeprefix("Bearer ")
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "models-api"


@pytest.mark.parametrize("path", ["/report", "/guests", "/public/x"])
@pytest.mark.parametrize("is_signed_in", [True, False], ids=["signed in", "signed out"])
def test_fa_4_a_forged_identity_does_not_arrive(place: Deployment, cookie: str, path: str, is_signed_in: bool) -> None:
    lines = [f"{spelling}: mallory" for name in FORGED for spelling in dict.fromkeys(spellings(name))]
    for start in range(0, len(lines), 40):
        answer = place.ask(path, *NAVIGATION, *lines[start : start + 40], cookie=cookie if is_signed_in else "")
        assert answer.status in ((200, 403) if is_signed_in or path != "/report" else (302, 403))  # or `forged_header`
    assert not [header for got in place.web.requests for header in got.headers if b"mallory" in header[1]]


@pytest.mark.parametrize("path", ["/guests", "/report"])
def test_fa_4_a_forged_authorization_does_not_arrive(place: Deployment, cookie: str, path: str) -> None:
    place.ask(path, *NAVIGATION, "Authorization: Bearer forged", cookie=cookie)
    assert (place.web.last.header("authorization") or "") == ""


@pytest.mark.parametrize(
    "sent",
    [
        ("theme=dark; {}; lang=de",),
        ("{}; theme=dark; lang=de",),
        ("theme=dark;{};lang=de",),
        ("theme=dark; lang=de; {}",),
        ("theme=dark; {}", "lang=de"),
    ],
    ids=["between others", "first", "without spaces", "last", "in one of two lines"],
)
def test_ck_1_the_session_cookie_does_not_reach_an_application(
    place: Deployment, cookie: str, sent: tuple[str, ...]
) -> None:
    own = f"__Host-vestibule={cookie}"
    answer = place.ask("/report", *NAVIGATION, *(f"Cookie: {line.format(own)}" for line in sent))
    if len(sent) > 1 and (place.name, place.use) == ("envoy", FORWARD_AUTH):
        # Envoy asks with one line and a comma in it, as no browser does. Then nobody is signed in.
        assert (answer.status, place.web.requests) == (302, [])
        return
    assert answer.status == 200
    got = "; ".join(value.decode() for name, value in place.web.last.headers if name.lower() == b"cookie")
    assert "vestibule" not in got
    assert not got.startswith(";")  # some readers stop there
    assert {part.strip() for part in got.split(";")} - {""} == {"theme=dark", "lang=de"}


def test_ck_1_two_session_cookies_reach_no_application_either(place: Deployment, cookie: str) -> None:
    own = f"__Host-vestibule={cookie}"
    assert place.ask("/guests", *NAVIGATION, f"Cookie: {own}; theme=dark; {own}").status == 200
    assert cookie not in (place.web.last.header("cookie") or "")
    assert not place.web.last.header("x-auth-request-user")


def test_ck_1_the_cookies_of_a_sign_in_under_way_reach_no_application(place: Deployment, cookie: str) -> None:
    other = "__Host-vestibule-tx-0a1b2c3d=x"
    line = f"Cookie: {other}; theme=dark; __Host-vestibule={cookie}; __Host-vestibule-tx-0a1b2c3e=y"
    place.ask("/report", *NAVIGATION, line)
    assert "vestibule" not in (place.web.last.header("cookie") or "")


def test_fa_4_on_a_public_route_the_credential_of_a_client_arrives(place: Deployment) -> None:
    assert place.ask("/public/x", *NAVIGATION, "Authorization: Basic eDp5").status == 200
    assert place.web.last.header("authorization") == "Basic eDp5"


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_fa_1_a_body_arrives_whole(place: Deployment, cookie: str, method: str, size: int) -> None:
    body = os.urandom(size)
    answer = place.ask("/api/models", *XHR, method=method, cookie=cookie, body=body)
    assert answer.status == 200
    assert (place.api.last.method, place.api.last.body) == (method, body)


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_fa_1_a_refused_body_goes_nowhere(place: Deployment, size: int) -> None:
    answer = place.ask("/api/models", *XHR, method="POST", body=os.urandom(size))
    assert answer.status in ((401,) if size == 1 else (401, 0))  # 0: closed while the client was still sending
    assert place.api.requests + place.web.requests == []


def test_px_4_a_refused_body_is_no_second_request(place: Deployment, cookie: str) -> None:
    inner = f"GET /report HTTP/1.1\r\nHost: {place.host}\r\nCookie: __Host-vestibule={cookie}\r\n\r\n".encode()
    place.ask("/api/models", *XHR, method="POST", body=inner)
    assert place.api.requests + place.web.requests == []


def test_fa_6_a_form_of_another_site_is_refused(place: Deployment, cookie: str) -> None:
    foreign = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Origin: https://evil.example")
    assert place.ask("/report", *foreign, method="POST", cookie=cookie, body=b"x=1").status == 403
    assert place.web.requests == []


def test_fa_1_head_is_answered_without_a_body(place: Deployment, cookie: str) -> None:
    answer = place.ask("/report", *NAVIGATION, method="HEAD", cookie=cookie)
    assert (answer.status, answer.body, place.web.last.method) == (200, b"", "HEAD")


def opened(place: Deployment, cookie: str, origin: str) -> tuple[RawAnswer, bytes]:
    """The answer to a WebSocket handshake, and what comes back for one masked text frame `hi`."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13")
    with place.open("/ws", *lines, f"Origin: {origin}", "Sec-Fetch-Mode: websocket", cookie=cookie) as client:
        received = b""
        while b"\r\n\r\n" not in received and (chunk := client.recv(4096)):
            received += chunk
        answer = RawAnswer.parse(received)
        if answer.status != 101:
            return answer, b""
        client.sendall(b"\x81\x82\0\0\0\0hi")
        return answer, client.recv(100)


def test_ws_1_a_websocket_of_the_own_origin_opens(place: Deployment, cookie: str) -> None:
    answer, echoed = opened(place, cookie, place.url)
    assert (answer.status, echoed) == (101, b"\x81\x02hi")


def test_ws_5_an_open_websocket_ends_with_the_session(place: Deployment) -> None:
    browser, _ = place.sign_in()
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13")
    with place.open("/ws", *lines, f"Origin: {place.url}", cookie=place.cookie_of(browser)) as client:
        client.settimeout(3)
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        browser.post(f"{place.url}/auth/logout")
        assert client.recv(100)[:1] == b"\x88"  # a close frame


def test_ws_1_a_websocket_of_another_origin_does_not(place: Deployment, cookie: str) -> None:
    answer, _ = opened(place, cookie, "https://evil.example")
    assert answer.status == 403
    assert place.web.requests == []


@pytest.mark.parametrize("raw", SENDABLE)
def test_fa_3_a_path_reaches_an_application_only_as_the_one_decided(place: Deployment, cookie: str, raw: bytes) -> None:
    for signed_in in ("", cookie):
        answer = place.ask(raw, *NAVIGATION, cookie=signed_in)
        assert answer.status in (302, 400, 403, 404), answer.status
    assert place.web.requests == []


@pytest.mark.parametrize(
    "path", ["/auth/verify", "/auth/verify/nginx", "/auth/verify/envoy/x", "/oauth2/auth", "/vestibule-question"]
)
def test_fa_6_nobody_outside_can_ask(place: Deployment, cookie: str, path: str) -> None:
    if path == "/vestibule-question" and (place.name, place.use) != ("nginx", FORWARD_AUTH):
        path = "/auth/verify/traefik"  # nginx alone has an address inside, at which it asks
    forged = ("X-Original-Method: GET", f"X-Original-URL: {place.url}/report")
    answer = place.ask(path, *XHR, *forged, cookie=cookie)
    assert answer.status in (403, 404)
    assert "alice" not in answer.received.decode("latin-1").lower()
    assert place.web.requests == []


def test_fa_6_the_next_request_after_a_sign_out_is_refused(place: Deployment) -> None:
    browser, pages = place.sign_in()
    assert pages[-1].status_code == 200
    browser.post(f"{place.url}/auth/logout")
    assert browser.get(f"{place.url}/report").status_code == 302


def test_fa_6_the_next_request_after_a_revocation_is_refused(place: Deployment) -> None:
    browser, _ = place.sign_in()
    sessions = place.door.app.bff.sessions
    session = place.door.do(resume(sessions, place.cookie_of(browser)))
    assert session is not None
    place.door.do(sessions.end_person(session.identity.iss, session.identity.sub, EndReason.REVOKED))
    assert browser.get(f"{place.url}/report").status_code == 302


def test_fm_1_signed_in_people_go_on_while_the_provider_is_down(place: Deployment, cookie: str) -> None:
    for endpoint in (place.provider.bend.discovery, place.provider.bend.token, place.provider.bend.userinfo):
        endpoint.drop()
    assert place.ask("/report", *NAVIGATION, cookie=cookie).status == 200
