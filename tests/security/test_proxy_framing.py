"""PX-7 to PX-13: every request and response has one reading, for any bytes."""

from __future__ import annotations

import threading

import pytest

from tests.payloads.framing import AMBIGUOUS_HEADS, BROKEN_CHUNKS, HEAD
from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, SMUGGLED, RawAnswer, count_answers

PATH = b"/public/x"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
AMBIGUOUS = AMBIGUOUS_HEADS | {f"chunked, {case}": CHUNKED + body for case, body in BROKEN_CHUNKS.items()}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_px_7_a_request_with_ambiguous_framing_is_refused_and_later_bytes_are_not_read(house: House, case: str) -> None:
    received = house.raw(AMBIGUOUS[case].replace(b"{path}", PATH) + SMUGGLED, timeout=2)
    assert RawAnswer.parse(received).status in (400, 405, 413, 501, 505), received[:100]
    assert count_answers(received) == 1
    assert house.upstream.requests_to("/public/smuggled") == []
    assert house.upstream.malformed == []
    assert all(b"abc".startswith(request.body) for request in house.upstream.requests)


def test_px_7_two_valid_requests_get_both_answers(house: House) -> None:
    """The control: the requests above are not refused because they are pipelined."""
    good = HEAD.replace(b"{path}", b"/public/sound") + b"Content-Length: 1\r\n\r\na"
    received = house.raw(good + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert count_answers(received) == 2
    paths = [request.path for request in house.upstream.requests]
    paths = [path for path in paths if path != PATH.decode()]  # a request that broke off above may arrive late
    assert paths == ["/public/sound", "/public/smuggled"]


@pytest.mark.parametrize("chunks", [b"1\r\na\r\n0\r\n\r\n", b"1;ext=1\r\na\r\n0\r\n\r\n", b"01\r\na\r\n000\r\n\r\n"])
def test_px_7_a_body_is_passed_on_with_one_framing(house: House, cookie: str, chunks: bytes) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    house.raw(head.encode() + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    seen = house.upstream.last
    assert seen.body == b"a"
    assert (len(seen.values("transfer-encoding")), len(seen.values("content-length"))) in ((1, 0), (0, 1))
    assert b"ext" not in seen.wire_body


@pytest.mark.parametrize("pieces", ["one segment", "late"])
def test_px_8_trailers_of_a_client_never_become_headers(house: House, cookie: str, pieces: str) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    start = (
        head.encode() + b"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n1\r\na\r\n"
    )
    end = b"0\r\nAuthorization: Bearer evil\r\nX-Forwarded-User: evil\r\nX-Harmless: evil\r\nHost: evil\r\n\r\n"
    received = house.raw(start + end) if pieces == "one segment" else house.raw(start, end)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"evil" not in house.upstream.last.head
    assert house.upstream.last.trailers == ()
    assert b"evil" not in received


def test_px_8_trailers_of_an_upstream_never_become_headers(house: House, cookie: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n1\r\na\r\n0\r\n"
    house.upstream.respond("/x", raw=raw + b"Set-Cookie: vestibule=evil\r\nLocation: //evil.com\r\n\r\n")
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == 200
    assert b"evil" not in answer.received


def test_px_7_parallel_connections_do_not_mix_their_requests(house: House) -> None:
    """Half a request on one connection is not completed by bytes of another."""
    results: list[int] = []

    def half(first: bytes, second: bytes) -> None:
        results.append(RawAnswer.parse(house.raw(first, second, pause=0.1)).status)

    head = b"GET /public/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".replace(b"{host}", house.host.encode())
    threads = [threading.Thread(target=half, args=(head + b"X-Part: ", b"%d\r\n\r\n" % number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 8
    assert sorted(request.header("x-part") or "" for request in house.upstream.requests) == [str(n) for n in range(8)]
