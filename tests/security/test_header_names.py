"""PX-3, PX-4, PX-13, PX-14: header names that a server behind the front door or a proxy before it reads differently."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.front_door import page_route
from tests.security.house import House
from tests.security.odd_answers import HIDDEN
from tests.security.raw import (
    SAME_ORIGIN,
    connect,
    count_answers,
    handshake,
    open_websocket,
    read_all,
    websocket_status,
)

IN_PROCESS = "asgi:tests.security.odd_answers:app"
SIGNS = "!#$%&'*+.^_`|~"
"""What a header's name may hold beside letters, digits and `-`. lighttpd writes `_` for each of them in what it hands
to CGI and FastCGI programs, so `X~Auth~Request~User` is `HTTP_X_AUTH_REQUEST_USER` there."""
STEERING = [
    *("CF-Connecting-IPv6", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP", "X-Azure-SocketIP"),
    *("X-Envoy-External-Address", "X-Envoy-Internal", "X-Envoy-Original-Path", "X-Originating-IP", "X-ProxyUser-IP"),
    *("Front-End-Https", "X-Scheme", "X-Url-Scheme", "Script-Name", "X-Script-Name", "X-Backend-Host"),
    *("X-HTTP-Host-Override", "X-HTTP-Path-Override", "X-Override-URL"),
]
FOR_A_PROXY = [
    *("X-LiteSpeed-Location", "X-LiteSpeed-Purge", "X-LSADC-Backend", "X-Reproxy-URL", "X-Reproxy-File"),
    *("X-Sendfile", "X-Sendfile2", "X-Sendfile-Temporary", "X-LIGHTTPD-send-tempfile"),
    *("X-Envoy-Immediate-Health-Check-Fail", "X-Accel-Redirect"),
]


@pytest.mark.parametrize("kind", ["request", "handshake"])
@pytest.mark.parametrize("name", ["X-Auth-Request-User", "X-Forwarded-User", "Remote-User", "X-Department"])
def test_px_3_a_header_name_with_a_special_character_other_than_the_hyphen_is_never_passed_on(
    house: House, name: str, kind: str
) -> None:
    cookie = house.session_cookie(house.sign_in())
    lines = [f"{name.replace('-', sign)}: mallory" for sign in SIGNS]
    for path in ("/api/x", "/public/x"):
        house.upstream.clear()
        if kind == "request":
            assert house.get_raw(path, SAME_ORIGIN, *lines, cookie=cookie).status == 200
        else:
            assert websocket_status(house.door.port, handshake(path, house.host, *lines, cookie=cookie)) == 101
        assert [given for given, value in house.upstream.last.headers if value == b"mallory"] == []


@pytest.mark.parametrize("sign", SIGNS)
def test_px_3_a_header_name_with_a_special_character_leaves_an_event(house: House, sign: str) -> None:
    house.door.app.pipeline._spoofed._noted.clear()  # one event a minute and client
    house.get_raw("/public/x", f"X{sign}Auth{sign}Request{sign}User: mallory")
    (event,) = [event for event in house.audit if event.get("reason") == "identity_headers_removed"]
    assert event["detail"] == "x-auth-request*"


@pytest.mark.parametrize("path", ["/api/x", "/public/x"])
def test_px_4_a_client_cannot_set_its_own_address_or_that_of_the_application(house: House, path: str) -> None:
    """On a public route a cache could even keep the application's answer for everybody."""
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    assert house.get_raw(path, SAME_ORIGIN, *(f"{name}: evil" for name in STEERING), cookie=cookie).status == 200
    assert [name for name, value in house.upstream.last.headers if value == b"evil"] == []


@pytest.mark.parametrize("path", ["/page", "/public/page"])
def test_px_14_headers_of_an_upstream_for_a_proxy_in_front_are_dropped(house: House, path: str) -> None:
    house.upstream.respond("/*", body="x", headers=[*((name, "/internal/secret") for name in FOR_A_PROXY)])
    answer = house.get_raw(path, SAME_ORIGIN, cookie=house.session_cookie(house.sign_in()))
    assert (answer.status, b"/internal/secret" in answer.received) == (200, False)


@pytest.mark.parametrize("what", ["100", "101", "103", "199", "600", "99", "two"])
def test_px_13_an_application_in_this_process_cannot_send_an_answer_inside_another(
    build_house: Callable[..., House], what: str
) -> None:
    """A proxy skips an interim answer and treats what follows as the final one."""
    house = build_house(routes=[page_route(IN_PROCESS, auth="public")])
    received = house.raw(house.request(f"/{what}"))
    assert received.startswith(b"HTTP/1.1 502 ")
    assert (count_answers(received), HIDDEN in received) == (1, False)


def test_px_13_a_304_of_an_application_in_this_process_has_no_length(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[page_route(IN_PROCESS, auth="public")])
    with connect(house.door.port) as client:
        client.sendall(house.request("/304").replace(b"Connection: close\r\n", b"") + house.request("/204"))
        received = read_all(client)
    assert received.count(b"HTTP/1.1 304 ") == received.count(b"HTTP/1.1 204 ") == 1
    assert b"content-length" not in received


@pytest.mark.parametrize("status", [100, 101, 103])
def test_px_13_an_application_in_this_process_cannot_refuse_a_handshake_with_an_interim_answer(
    build_house: Callable[..., House], status: int
) -> None:
    house = build_house(routes=[page_route(IN_PROCESS, auth="public")])
    answer, client = open_websocket(house.door.port, handshake(f"/say/{status}", house.host))
    client.close()
    assert answer.status == 502
