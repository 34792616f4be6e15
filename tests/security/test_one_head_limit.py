"""DS-2 and CK-3: a head that passes over HTTP passes as a WebSocket handshake too, and the same cookies are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import page_route
from tests.security.house import House
from tests.security.raw import RawAnswer, handshake, open_websocket

LONG_LINES = {
    "cookie line of 9,000 bytes": ("/_stcore/stream", "Cookie: a=" + "x" * 9_000),
    "cookie line of 30,000 bytes": ("/_stcore/stream", "Cookie: a=" + "x" * 30_000),
    "other line of 9,000 bytes": ("/_stcore/stream", "X-Note: " + "x" * 9_000),
    "target of 8,192 bytes": ("/_stcore/stream?" + "x" * 8_176, "X-Note: 1"),
}
TOO_LONG = {
    "cookie line of 33,000 bytes": ("/_stcore/stream", "Cookie: a=" + "x" * 33_000, 431),
    "target of 8,193 bytes": ("/_stcore/stream?" + "x" * 8_177, "X-Note: 1", 414),
}


def over_http(house: House, path: str, line: str, cookie: str) -> int:
    return house.get_raw(path, line, cookie=cookie).status


def as_handshake(house: House, path: str, line: str, cookie: str) -> int:
    answer, client = open_websocket(house.door.port, handshake(path, house.host, line, cookie=cookie))
    client.close()
    return answer.status


@pytest.mark.parametrize(("path", "line"), LONG_LINES.values(), ids=LONG_LINES)
def test_ds_2_a_long_line_that_http_accepts_is_accepted_in_a_handshake(
    house: House, cookie: str, path: str, line: str
) -> None:
    assert over_http(house, path, line, cookie) == 200
    assert as_handshake(house, path, line, cookie) == 101
    name, _, value = line.partition(": ")
    assert value in (house.upstream.websockets[-1].request.header(name) or "")


@pytest.mark.parametrize(("path", "line", "status"), TOO_LONG.values(), ids=TOO_LONG)
def test_ds_2_a_line_that_is_too_long_gets_the_same_status_from_http_and_handshake(
    house: House, cookie: str, path: str, line: str, status: int
) -> None:
    assert over_http(house, path, line, cookie) == status
    assert as_handshake(house, path, line, cookie) == status
    assert house.upstream.websockets == []


def test_ds_2_a_raised_limit_applies_to_http_and_handshakes(build_house: Callable[..., House]) -> None:
    house = build_house(limits={"header_bytes": 60_000, "header_count": 300})
    cookie = house.session_cookie(house.sign_in())
    line = "X-Note: " + "x" * 50_000 + "\r\n" + "\r\n".join(f"X-{number}: a" for number in range(250))
    assert over_http(house, "/_stcore/stream", line, cookie) == 200
    assert as_handshake(house, "/_stcore/stream", line, cookie) == 101


def test_ds_2_a_long_line_of_an_upstream_is_accepted_from_http_and_handshakes(
    house: House, cookie: str, upstream: RecordingUpstream
) -> None:
    long = "x" * 20_000
    upstream.respond("/_stcore/long", headers=(("x-note", long),))
    assert RawAnswer.parse(house.raw(house.request("/_stcore/long", cookie=cookie))).header("x-note") == long
    upstream.websocket("/_stcore/stream", headers=(("x-note", long),))
    assert as_handshake(house, "/_stcore/stream", "X-Note: 1", cookie) == 101


@pytest.mark.parametrize("place", ["before", "after", "around", "in lines of their own"])
def test_ck_3_foreign_cookies_within_the_limit_sign_nobody_out(
    build_house: Callable[..., House], upstream: RecordingUpstream, place: str
) -> None:
    house = build_house(limits={"cookie_count": 400}, routes=[page_route(upstream)])
    ours = "vestibule=" + house.session_cookie(house.sign_in())
    foreign = [f"c{number}=v" for number in range(399)]
    orders = {"before": [*foreign, ours], "after": [ours, *foreign], "around": [*foreign[:250], ours, *foreign[250:]]}
    lines = ["Cookie: " + "; ".join(orders.get(place, []))]
    if place not in orders:
        lines = ["Cookie: " + "; ".join(foreign[:200]), f"Cookie: {ours}", "Cookie: " + "; ".join(foreign[200:])]
    assert house.get_raw("/auth/session", *lines).status == 200
    assert house.get_raw("/", *lines).status == 200
    assert as_handshake(house, "/_stcore/stream", "\r\n".join(lines), "") == 101
    assert house.get_raw("/", *lines, "Cookie: one=more").status == 431
