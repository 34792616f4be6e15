"""PX: an upstream response is framed correctly or refused."""

from __future__ import annotations

import pytest

from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, count_answers

RAW_RESPONSES: dict[str, bytes] = {
    "line break in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "space in a name": b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
    "status 700": b"HTTP/1.1 700 X\r\nContent-Length: 0\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw tunnel",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nX: ",
    "head of 100 KB": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "5,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaaaaaaa\r\n" * 5_000 + b"\r\n",
    "Location with a line break": b"HTTP/1.1 302 X\r\nLocation: /a\x01b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("case", RAW_RESPONSES)
def test_px_13_an_invalid_response_gives_502(house: House, cookie: str, case: str) -> None:
    house.upstream.respond("/x", raw=RAW_RESPONSES[case], close=True)
    noted = len(house.refusals())
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == 502
    assert answer.header("content-type") == "application/problem+json"
    assert b"raw tunnel" not in answer.received
    assert house.upstream.url.encode() not in answer.received
    assert [event["event"] for event in house.refusals()[noted:]] == ["upstream_failed"]


CUT_BODIES: dict[str, bytes] = {
    "shorter than told": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunked without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunk cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    "chunk size broken": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
}


@pytest.mark.parametrize("case", CUT_BODIES)
def test_px_13_an_incomplete_body_never_looks_complete(house: House, cookie: str, case: str) -> None:
    house.upstream.respond("/x", raw=CUT_BODIES[case], close=True)
    request = f"GET /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n\r\n"
    received = house.raw(request.encode(), timeout=3)
    assert b"0\r\n\r\n" not in received.partition(b"\r\n\r\n")[2]
    if b"content-length: 10" in received.lower():
        assert len(received.partition(b"\r\n\r\n")[2]) < 10


def test_px_13_bytes_after_a_response_never_become_another_answer(house: House, cookie: str) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    house.upstream.respond("/x", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + poison, times=1)
    first = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert first.body == b"ok"
    for _ in range(3):
        assert b"poison" not in house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).received


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (204, b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison"),
        (304, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"),
        (200, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (200, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ],
)
def test_px_13_answers_without_a_body_do_not_disturb_the_next_answer(
    house: House, cookie: str, status: int, raw: bytes
) -> None:
    house.upstream.respond("/x", raw=raw, times=1)
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == status
    assert answer.body == (b"ok" if status == 200 else b"")
    assert count_answers(answer.received) == 1
    assert house.get_raw("/api/y", SAME_ORIGIN, cookie=cookie).status == 200


def test_px_13_the_answer_to_a_head_request_has_no_body(house: House, cookie: str) -> None:
    house.upstream.respond("/x", body=b"hello")
    answer = house.get_raw("/api/x", SAME_ORIGIN, method="HEAD", cookie=cookie)
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "5", b"")
