"""WS: handshakes from other origins, without a session, or with headers that are not passed on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bff.contract import EndReason
from tests.fakes import FakeClock, is_grant
from tests.front_door import page_route
from tests.security.house import House
from tests.security.raw import RawAnswer, handshake, open_websocket, read_close, websocket_status
from tests.security.rejection import assert_rejected

STREAM = "/_stcore/stream"


def attempt(house: House, request: bytes) -> RawAnswer:
    answer, client = open_websocket(house.door.port, request)
    client.close()
    return answer


FOREIGN_ORIGINS = [
    None,
    "null",
    "https://evil.example",
    "http://evil.{host}",
    "http://{host}.evil.example",
    "https://{host}",
    "http://localhost",
    "http://localhost:1",
    "http://127.0.0.1:{port}",
    "http://user@{host}",
    "http://{host}/",
    "{host}",
    "//{host}",
    "ws://{host}",
    "http://{host}, https://evil.example",
    "file://",
    "*",
]


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("path", [STREAM, "/api/ws", "/public/ws"])
def test_ws_1_only_this_origin_can_open_a_socket(house: House, cookie: str, origin: str | None, path: str) -> None:
    text = origin.replace("{host}", house.host).replace("{port}", str(house.door.port)) if origin else origin
    request = handshake(path, house.host, origin=text, cookie=cookie)
    answer = assert_rejected(house, lambda: attempt(house, request), statuses=[403], reason="ws_origin")
    assert not answer.all("location")
    assert house.upstream.websockets == []


@pytest.mark.parametrize("second", ["", "https://evil.example"])
def test_ws_1_a_handshake_with_two_origins_is_refused(house: House, cookie: str, second: str) -> None:
    request = handshake(STREAM, house.host, f"Origin: {second or house.url}", cookie=cookie)
    assert_rejected(house, lambda: attempt(house, request), statuses=[400], reason="origin_repeated")


def test_ws_1_the_origin_of_a_handshake_is_compared_without_case(house: House, cookie: str) -> None:
    assert (
        websocket_status(house.door.port, handshake(STREAM, house.host, origin=house.url.upper(), cookie=cookie)) == 101
    )


def test_ws_1_an_allowed_origin_is_accepted_and_similar_ones_are_refused(build_house: Callable[..., House]) -> None:
    origins = ["https://partner.example"]
    house = build_house()
    listed = build_house(routes=[page_route(house.upstream, ws_origins=origins)])
    cookie = listed.session_cookie(listed.sign_in())
    statuses = {
        origin: websocket_status(listed.door.port, handshake(STREAM, listed.host, origin=origin, cookie=cookie))
        for origin in (*origins, "http://partner.example", "https://partner.example:8443", "https://a.partner.example")
    }
    assert list(statuses.values()) == [101, 403, 403, 403]


@pytest.mark.parametrize("cookie", ["", "x", "a" * 43 + "." + "b" * 43])
@pytest.mark.parametrize("path", [STREAM, "/admin/ws", "/models/ws", "/nowhere"])
def test_ws_2_a_handshake_without_a_session_gets_a_plain_401(house: House, cookie: str, path: str) -> None:
    answer = attempt(house, handshake(path, house.host, cookie=cookie))
    assert answer.status == 401
    assert not answer.all("location")
    assert house.upstream.requests == []


def test_ws_2_a_handshake_with_an_ended_session_gets_a_401(house: House) -> None:
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    house.upstream.clear()
    house.door.do(house.door.app.bff.sessions.end(name, EndReason.REVOKED))
    assert websocket_status(house.door.port, handshake(STREAM, house.host, cookie=cookie)) == 401
    assert house.upstream.requests == []


def test_ws_2_a_handshake_with_an_expired_session_gets_a_401(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house(session={"idle_seconds": 600, "absolute_seconds": 3600})
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    clock.advance(601)
    assert websocket_status(house.door.port, handshake(STREAM, house.host, cookie=cookie)) == 401
    assert house.upstream.requests == []


def test_ws_2_a_handshake_of_a_person_without_the_role_gets_a_403(house: House) -> None:
    cookie = house.session_cookie(house.sign_in("bob"))
    house.upstream.clear()
    answer = assert_rejected(
        house, lambda: attempt(house, handshake("/admin/ws", house.host, cookie=cookie)), statuses=[403]
    )
    assert not answer.all("location")


def test_ws_2_a_socket_closes_when_a_refresh_removes_the_role(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    answer, client = open_websocket(house.door.port, handshake("/admin/ws", house.host, cookie=cookie))
    assert answer.status == 101
    fewer = {"realm_access": {"roles": ["viewer"]}}
    for bend in (house.provider.bend.id_token, house.provider.bend.access_token):
        bend.claims(lambda claims: {**claims, **fewer}, when=is_grant("refresh_token"))
    clock.advance(301)
    browser.fetch(f"{house.url}/api/x")
    assert read_close(client)[0] == 4403
    client.close()


def test_ws_3_a_handshake_keeps_only_the_headers_that_streamlit_needs(house: House, cookie: str) -> None:
    protocols = "streamlit, 2|abc|def|1, 01234567-89ab-cdef-0123-456789abcdef"
    extra = ["Authorization: Bearer evil", "Cookie: _streamlit_xsrf=2|abc; other=1", "X-Forwarded-For: 6.6.6.6"]
    answer = attempt(house, handshake(STREAM, house.host, *extra, cookie=cookie, subprotocols=protocols))
    assert (answer.status, answer.header("sec-websocket-protocol")) == (101, "streamlit")
    (seen,) = house.upstream.requests
    assert seen.values("sec-websocket-protocol") == [protocols]
    assert seen.header("host") == house.host
    assert seen.header("origin") == house.url
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.header("authorization") is None
    assert cookie not in " ".join(seen.values("cookie"))
    assert seen.cookies == {"_streamlit_xsrf": "2|abc", "other": "1"}
    assert "456789abcdef" not in repr(house.audit)
    assert "2|abc|def" not in repr(house.audit)


def test_ws_3_cookies_of_a_handshake_answer_follow_the_rule_and_dropped_ones_leave_a_line(
    build_house: Callable[..., House],
) -> None:
    """A load balancer may pin a person to a server by the cookie of a 101."""
    house = build_house()  # of its own: a cookie's line is written once a minute
    cookie = house.session_cookie(house.sign_in())
    house.upstream.websocket(
        "/pinned",
        headers=(
            ("Set-Cookie", "pin=a; Path=/"),
            ("Set-Cookie", f"lb=b; Domain={house.host.partition(':')[0]}; Path=/"),
            ("Set-Cookie", "vestibule=stolen; Path=/"),
            ("Set-Cookie", "far=1; Domain=evil.example"),
            ("X-App", "1"),
            ("X-Auth-Request-User", "mallory"),
            ("Server", "odd"),
        ),
    )
    answer = attempt(house, handshake("/pinned", house.host, cookie=cookie))
    assert answer.status == 101
    assert sorted(answer.all("set-cookie")) == ["lb=b; Path=/", "pin=a; Path=/"]
    assert (answer.all("x-app"), answer.all("x-auth-request-user")) == (["1"], [])
    assert "odd" not in answer.all("server")
    dropped = {(line["cookie"], line["reason"]) for line in house.audit if line["event"] == "response_cookie_dropped"}
    assert dropped == {("vestibule", "own_name"), ("far", "domain")}
    headers = [line["header"] for line in house.audit if line["event"] == "response_header_dropped"]
    assert headers == ["x-auth-request-user"]


def test_ws_4_the_identity_for_resuming_is_the_same_for_a_person_after_a_token_refresh(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    """Streamlit resumes a session only for the same identity.

    Alice's stays the same, Bob's differs, and no identity is empty.
    """
    house = timed_house()

    def identity_at_handshake(browser_cookie: str) -> str:
        house.upstream.clear()
        protocols = "streamlit, x, the-session-id-of-alice"
        assert (
            attempt(house, handshake(STREAM, house.host, cookie=browser_cookie, subprotocols=protocols)).status == 101
        )
        return house.upstream.last.header("x-auth-request-id") or ""

    browser = house.sign_in("alice")
    first = identity_at_handshake(house.session_cookie(browser))
    clock.advance(301)
    browser.fetch(f"{house.url}/api/x")
    assert len(house.provider.grants("refresh_token")) == 1
    again = identity_at_handshake(house.session_cookie(browser))
    elsewhere = identity_at_handshake(house.session_cookie(house.sign_in("alice")))
    bobs = identity_at_handshake(house.session_cookie(house.sign_in("bob")))
    assert first == again == elsewhere != bobs
    assert len(first) == len(bobs) == 43


STREAMLIT_PATHS = [
    "/",
    "/any/page",
    "/static/js/main.js",
    "/favicon.png",
    "/manifest.json",
    "/_stcore/health",
    "/_stcore/healthX",
    "/_stcore/health/../stream",
    "/_stcore/host-config",
    "/_stcore/script-health-check",
    "/_stcore/metrics",
    "/_stcore/agent/interact",
    "/_stcore/agent/mcp",
    "/_stcore/agent/openapi.json",
    "/_stcore/stream",
    "/_stcore/upload_file/a/b",
    "/_stcore/bidi-components/x",
    "/media/0123456789abcdef.png",
    "/component/x/index.html",
    "/app/static/x.png",
    "/oauth2callback",
    "/favicon.ico/../admin",
]


@pytest.mark.parametrize("path", STREAMLIT_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_ws_6_streamlit_paths_are_closed_without_a_session(house: House, path: str, method: str) -> None:
    answer = house.get_raw(path, "Sec-Fetch-Mode: cors", "User-Agent: kube-probe/1.30", method=method)
    assert answer.status in (400, 401, 404)
    assert house.upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics",
        "/base/of/an/app/_stcore/metrics",
        "/base/of/an/app/_stcore/agent/mcp",
        "/_stcore/metrics/",
        "/_stcore/agent/interact",
        "/_stcore/agent/mcp",
        "/_stcore/agent",
        "/oauth2callback",
        "/_stcore/%6detrics",
    ],
)
def test_ws_6_metrics_and_agent_paths_of_streamlit_are_closed_for_everybody(
    house: House, cookie: str, path: str
) -> None:
    for method in ("GET", "POST"):
        answer = house.get_raw(path, "Sec-Fetch-Site: same-origin", method=method, cookie=cookie)
        assert answer.status in (403, 404)
    assert house.upstream.requests == []


@pytest.mark.parametrize(
    "path", ["/auth/login", "/auth/logout", "/auth/session", "/auth/nothing", "/auth", "/auth/callback/x"]
)
def test_ws_6_paths_of_the_gateway_override_paths_of_the_app(house: House, cookie: str, path: str) -> None:
    house.get_raw(path, cookie=cookie)
    websocket_status(house.door.port, handshake(path, house.host, cookie=cookie))
    assert house.upstream.requests == []


REFUSALS = {200: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 426: b"HTTP/1.1 426 X\r\nContent-Length: 0\r\n\r\n"}


@pytest.mark.parametrize("status", REFUSALS)
def test_ws_3_an_upstream_that_does_not_answer_101_opens_no_tunnel(house: House, cookie: str, status: int) -> None:
    house.upstream.respond("/ws", raw=REFUSALS[status], close=True)
    answer, client = open_websocket(house.door.port, handshake("/ws", house.host, cookie=cookie))
    assert answer.status != 101
    client.sendall(b"GET /public/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
    client.close()
    assert house.upstream.requests_to("/public/smuggled") == []
    assert house.upstream.malformed == []


def test_ws_3_a_handshake_answer_with_a_wrong_accept_key_is_refused(house: House, cookie: str) -> None:
    raw = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"
    house.upstream.respond("/ws", raw=raw)
    assert websocket_status(house.door.port, handshake("/ws", house.host, cookie=cookie)) == 502


def test_ws_2_signing_out_closes_only_the_sockets_of_that_session(house: House) -> None:
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    sockets = {}
    for name, browser in (("alice", alice), ("bob", bob)):
        cookie = house.session_cookie(browser)
        answer, sockets[name] = open_websocket(house.door.port, handshake(STREAM, house.host, cookie=cookie))
        assert answer.status == 101
    alice.post(f"{house.url}/auth/logout")
    assert read_close(sockets["alice"]) == (4401, "logout")
    sockets["bob"].sendall(b"\x89\x80\x00\x00\x00\x00")
    assert sockets["bob"].recv(2)[:1] == b"\x8a"
    for client in sockets.values():
        client.close()
