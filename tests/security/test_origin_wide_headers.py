"""PX-14: headers that a browser applies to the whole origin are set by the front door and not by one upstream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import page_route
from tests.security.house import House
from tests.security.loud import OURS_TO_SAY, SPELLINGS, pairs
from tests.security.raw import SAME_ORIGIN, RawAnswer, handshake, open_websocket

NAMES = {name.lower() for name in OURS_TO_SAY}
IN_PROCESS = "asgi:tests.security.loud:app"


def heard(answer: RawAnswer) -> set[str]:
    return NAMES & {name for name, _ in answer.headers}


def dropped(house: House) -> list[tuple[str, str]]:
    return [(line["route"], line["header"]) for line in house.audit if line["event"] == "response_header_dropped"]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=["as-written", "lower-case", "upper-case"])
@pytest.mark.parametrize("status", [200, 304, 404, 500])
@pytest.mark.parametrize("path", ["/page", "/api/page", "/public/page", "/optional/page"])
def test_px_14_headers_of_an_upstream_that_apply_to_the_whole_origin_are_dropped(
    house: House, path: str, status: int, spelling: Callable[[str], str]
) -> None:
    headers = [(name.decode(), value.decode()) for name, value in pairs(spelling)]
    house.upstream.respond("/*", status=status, headers=[*headers, ("X-App", "kept")])
    answer = house.get_raw(path, SAME_ORIGIN, cookie=house.session_cookie(house.sign_in()))
    assert (answer.status, answer.header("x-app"), heard(answer)) == (status, "kept", set())


def test_px_14_an_origin_wide_trailer_of_an_upstream_is_dropped(house: House) -> None:
    trailers = b"".join(name + b": " + value + b"\r\n" for name, value in pairs())
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: NEL\r\n\r\n2\r\nok\r\n0\r\n" + trailers + b"\r\n"
    house.upstream.respond("/*", raw=raw)
    received = house.raw(house.request("/public/x"))
    assert RawAnswer.parse(received).status == 200
    assert b"evil.example" not in received


def test_px_14_an_early_hint_of_an_upstream_is_dropped(house: House) -> None:
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in pairs())
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    house.upstream.respond("/*", raw=b"HTTP/1.1 103 Early Hints\r\n" + lines + b"\r\n" + final)
    received = house.raw(house.request("/public/x"))
    assert RawAnswer.parse(received).status == 200
    assert b"evil.example" not in received


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "refused"])
def test_px_14_origin_wide_headers_in_the_handshake_answer_of_an_upstream_are_dropped(
    house: House, is_taken: bool
) -> None:
    headers = [(name.decode(), value.decode()) for name, value in pairs()]
    if is_taken:
        house.upstream.websocket("/*", headers=tuple(headers))
    else:
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in pairs())
        raw = b"HTTP/1.1 429 Too Many Requests\r\n" + lines + b"Content-Length: 0\r\n\r\n"
        house.upstream.respond("/*", raw=raw, before_body=True)
    answer, client = open_websocket(house.door.port, handshake("/public/ws", house.host))
    client.close()
    assert (answer.status, heard(answer)) == (101 if is_taken else 429, set())


@pytest.mark.parametrize("kind", ["page", "taken-handshake", "refused-handshake"])
def test_px_14_origin_wide_headers_of_an_application_in_this_process_are_dropped(
    build_house: Callable[..., House], kind: str
) -> None:
    house = build_house(routes=[page_route(IN_PROCESS, auth="public")])
    if kind == "page":
        received = house.raw(house.request("/x"))
        assert b"evil.example" not in received, "nor in a trailer"
        answer = RawAnswer.parse(received)
    else:
        path = "/ws" if kind == "taken-handshake" else "/no"
        answer, client = open_websocket(house.door.port, handshake(path, house.host))
        client.close()
    assert answer.status == {"page": 200, "taken-handshake": 101, "refused-handshake": 429}[kind]
    assert heard(answer) == set()
    assert answer.header("x-app") == "kept"
    assert answer.all("set-cookie") == ["app=1"], "and it sets no cookie of ours"
    assert "permessage-deflate" not in answer.header("sec-websocket-extensions")


@pytest.mark.parametrize("upstream_kind", ["network", "in-process"])
@pytest.mark.parametrize("is_refused", [False, True], ids=["answered", "refused-by-the-door"])
def test_px_14_strict_transport_security_is_sent_once_with_our_value(
    build_house: Callable[..., House], upstream: RecordingUpstream, upstream_kind: str, is_refused: bool
) -> None:
    upstream.respond("/*", headers=[("Strict-Transport-Security", "max-age=0"), ("STRICT-transport-security", "x")])
    house = build_house(
        routes=[page_route(IN_PROCESS if upstream_kind == "in-process" else upstream, auth="public")],
        server={"public_url": "https://apps.example.com", "environment": "production"},
        providers={"corp": SECURE_PROVIDER},
    )
    target = b"/a/../b" if is_refused else b"/x"
    request = b"GET " + target + b" HTTP/1.1\r\nHost: apps.example.com\r\nConnection: close\r\n\r\n"
    answer = RawAnswer.parse(house.raw(request))
    assert answer.status == (400 if is_refused else 200)
    assert answer.all("strict-transport-security") == ["max-age=31536000"]


SECURE_PROVIDER = {
    "issuer": "https://idp.example.com",
    "client_id": "vestibule",
    "client_secret": "unit-test-secret-0123456789",
}


def test_px_14_a_dropped_header_leaves_one_log_line_for_each_route_and_header(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    routes = [page_route(upstream, id=name, path=f"/{name}", auth="public") for name in ("one", "two")]
    house = build_house(routes=routes)
    headers = [("NEL", "{}"), ("Access-Control-Allow-Origin", "*"), ("Set-Cookie", "vestibule=stolen"), ("ETag", '"1"')]
    upstream.respond("/*", headers=[*headers, ("Connection", "x-hop"), ("X-Hop", "1"), ("X-Request-Id", "evil")])
    for path in ("/one/x", "/one/y", "/two/x", "/one/x"):
        assert house.get_raw(path).status == 200
    names = ("nel", "access-control-allow-origin")
    assert sorted(dropped(house)) == sorted((route, name) for route in ("one", "two") for name in names)
    cookies = [(line["route"], line["cookie"]) for line in house.audit if line["event"] == "response_cookie_dropped"]
    assert sorted(cookies) == [("one", "vestibule"), ("two", "vestibule")]


def test_px_14_an_upstream_with_many_invented_header_names_cannot_fill_the_log(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    house = build_house(routes=[page_route(upstream, auth="public")])
    for start in range(0, 200, 40):
        upstream.respond("/*", headers=[(f"X-Accel-{number}", "x") for number in range(start, start + 40)])
        assert house.get_raw("/x").status == 200
    assert len(dropped(house)) == 50
