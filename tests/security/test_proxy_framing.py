"""PX-7 to PX-13: one reading of every request and response, whatever the bytes."""

from __future__ import annotations

import threading

import pytest

from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, SMUGGLED, RawAnswer, count_answers

HEAD = b"POST /public/x HTTP/1.1\r\nHost: {host}\r\n"
AMBIGUOUS: dict[str, bytes] = {
    "CL and TE": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two CL": HEAD + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "two equal CL": HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "CL list": HEAD + b"Content-Length: 1, 1\r\n\r\na",
    "signed CL": HEAD + b"Content-Length: +1\r\n\r\na",
    "negative CL": HEAD + b"Content-Length: -1\r\n\r\n",
    "hexadecimal CL": HEAD + b"Content-Length: 0x1\r\n\r\na",
    "CL with a space": HEAD + b"Content-Length: 1 0\r\n\r\na",
    "huge CL": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    "CL with underscores": HEAD + b"Content-Length: 1_0\r\n\r\na",
    "empty CL": HEAD + b"Content-Length:\r\n\r\n",
    "TE identity, chunked": HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE CHUNKED": HEAD + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE quoted": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE empty": HEAD + b"Transfer-Encoding:\r\n\r\n",
    "chunked on 1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size with 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk size signed": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "chunk size huge": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n",
    "chunk with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk without terminator": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    "chunk extension with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "bare LF in the head": b"POST /public/x HTTP/1.1\nHost: {host}\r\n\r\n",
    "bare LF after a header": HEAD + b"X: 1\nY: 2\r\n\r\n",
    "bare CR": HEAD + b"X: 1\rY: 2\r\n\r\n",
    "obs-fold": HEAD + b"X: 1\r\n folded\r\n\r\n",
    "obs-fold of TE": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before a colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space before the first header": b"POST /public/x HTTP/1.1\r\n X: 1\r\nHost: {host}\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\x00b\r\n\r\n",
    "NUL in a name": HEAD + b"X\x00: b\r\n\r\n",
    "no colon": HEAD + b"X\r\n\r\n",
    "empty name": HEAD + b": x\r\n\r\n",
    "name with a space": HEAD + b"X Y: 1\r\n\r\n",
    "name beyond ASCII": HEAD + b"X\xff: 1\r\n\r\n",
    "HTTP/2.0": HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
    "HTTP/1.2": HEAD.replace(b"HTTP/1.1", b"HTTP/1.2") + b"\r\n",
    "HTTP/0.9": b"GET /public/x\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case method": HEAD.replace(b"POST", b"post") + b"\r\n",
    "no method": b" /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_px_7_ambiguous_framing_is_refused_and_nothing_behind_it_is_read(house: House, case: str) -> None:
    received = house.raw(AMBIGUOUS[case] + SMUGGLED, timeout=2)
    assert RawAnswer.parse(received).status in (400, 405, 413, 501, 505), received[:100]
    assert count_answers(received) == 1
    assert house.upstream.requests_to("/public/smuggled") == []
    assert house.upstream.malformed == []
    assert all(request.body in (b"", b"a") for request in house.upstream.requests)


def test_px_7_a_sound_pair_of_requests_gets_both_answers(house: House) -> None:
    """The counterpart: the corpus above is not refused for being pipelined."""
    good = HEAD + b"Content-Length: 1\r\n\r\na"
    received = house.raw(good + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert count_answers(received) == 2
    assert [request.path for request in house.upstream.requests] == ["/public/x", "/public/smuggled"]


@pytest.mark.parametrize("chunks", [b"1\r\na\r\n0\r\n\r\n", b"1;ext=1\r\na\r\n0\r\n\r\n", b"01\r\na\r\n000\r\n\r\n"])
def test_px_7_a_body_goes_on_with_one_framing(house: House, cookie: str, chunks: bytes) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    house.raw(head.encode() + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    seen = house.upstream.last
    assert seen.body == b"a"
    assert (len(seen.values("transfer-encoding")), len(seen.values("content-length"))) in ((1, 0), (0, 1))
    assert b"ext" not in seen.wire_body


@pytest.mark.parametrize("pieces", ["one segment", "late"])
def test_px_8_trailers_never_become_headers(house: House, cookie: str, pieces: str) -> None:
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


def test_px_8_an_upstreams_trailers_never_become_headers(house: House, cookie: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n1\r\na\r\n0\r\n"
    house.upstream.respond("/x", raw=raw + b"Set-Cookie: vestibule=evil\r\nLocation: //evil.com\r\n\r\n")
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == 200
    assert b"evil" not in answer.received


def test_px_7_parallel_connections_do_not_share_a_parser(house: House) -> None:
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
