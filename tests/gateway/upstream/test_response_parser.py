"""Responses off the wire: framing, refusals, reuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import UpstreamFailed
from gateway.upstream.response_parser import ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes, method: str = "GET", eof: bool = False) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser()
    parser.begin(method)
    for piece in pieces:
        parser.feed(piece)
    if eof:
        parser.finish()
    return parser, parser.take()


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", b"hi"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", b""),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            + OK
            + b"Content-Length: 2\r\n\r\nhi",
            b"hi",
        ),
    ],
)
def test_a_connection_can_be_used_again_after_a_complete_response(wire: bytes, body: bytes) -> None:
    parser, got = parse(wire)
    assert parser.is_complete
    assert parser.is_reusable
    assert got == body
    parser.begin("GET")
    parser.feed(OK + b"Content-Length: 5\r\n\r\nagain")
    assert (parser.is_complete, parser.take()) == (True, b"again")


@given(st.integers(1, 80))
def test_a_response_is_read_the_same_wherever_the_stream_is_cut(cut: int) -> None:
    wire = (
        b"HTTP/1.1 100 Continue\r\n\r\n"
        + OK
        + b"X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n"
    )
    parser, body = parse(*(wire[i : i + cut] for i in range(0, len(wire), cut)))
    assert parser.head is not None
    assert parser.head.headers == [(b"x-a", b"1"), (b"transfer-encoding", b"chunked")]
    assert (body, parser.is_complete, parser.is_reusable) == (b"hi", True, True)


@pytest.mark.parametrize(
    "wire",
    [
        OK + b"Content-Length: 2\r\n\r\nhiX",
        OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ],
)
def test_a_connection_is_not_used_again_after_surplus_bytes_or_connection_close(wire: bytes) -> None:
    parser, body = parse(wire)
    assert (parser.is_complete, body, parser.is_reusable) == (True, b"hi", False)


@pytest.mark.parametrize(
    ("method", "wire"),
    [
        ("HEAD", OK + b"Content-Length: 5\r\n\r\n"),
        ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        ("HEAD", OK + b"\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_a_bodyless_response_that_announces_a_body_is_complete_and_its_connection_is_not_used_again(
    method: str, wire: bytes
) -> None:
    parser, body = parse(wire, method=method)
    assert (parser.is_complete, body, parser.is_reusable) == (True, b"", False)


@pytest.mark.parametrize("start", [OK, b"HTTP/1.0 200 OK\r\n"])
def test_a_body_without_framing_ends_with_the_stream(start: bytes) -> None:
    parser, body = parse(start + b"\r\nhel", b"lo", eof=True)
    assert (parser.is_complete, body, parser.is_reusable) == (True, b"hello", False)


@pytest.mark.parametrize(
    "wire",
    [b"", b"HTTP/1.1 200", OK + b"Content-Length: 9\r\n\r\nshort", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel"],
)
def test_a_stream_that_ends_early_is_an_incomplete_response(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        parse(*([wire] if wire else []), eof=True)
    assert caught.value.code == "upstream_closed"


@pytest.mark.parametrize(
    "wire",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        OK + b"Content-Length: 2, 2\r\n\r\nhi",
        OK + b"Content-Length: +2\r\n\r\nhi",
        OK + b"Content-Length: -2\r\n\r\nhi",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nhi",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n",
        OK + b"X: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\nY: b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X : a\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"a" * 70_000,
        OK + b"X: a\r\n" * 20_000,
        b"HTTP/1.1 103 Early\r\nX: a\r\n\r\n" * 5_000,
    ],
)
def test_an_ambiguous_response_is_refused(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        parse(wire)
    assert caught.value.code == "upstream_protocol"


def test_a_large_body_in_the_same_packet_as_its_head_does_not_count_as_a_large_head() -> None:
    _, body = parse(OK + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000)
    assert len(body) == 200_000
