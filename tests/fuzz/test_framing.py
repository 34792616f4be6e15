"""Sequences of requests on one connection, cut at any byte: only what the client framed reaches the application."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.front import Front, running

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: front\r\n\r\n"
SHORT = settings(max_examples=250)


@dataclass(frozen=True)
class Framed:
    """One request as its client means it. `abandons`: the client sends no body after it has its answer."""

    path: str
    head: bytes
    body: bytes
    content: bytes
    abandons: bool

    @property
    def wire(self) -> bytes:
        return self.head if self.abandons else self.head + self.body


bodies = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from([SMUGGLED, b"\r\n0\r\n\r\n", b"0\r\n\r\n" + SMUGGLED, b"\r\n", b"5\r\n"]),
    ),
    max_size=4,
).map(b"".join)


@st.composite
def requests(draw: st.DrawFn) -> Framed:
    kind = draw(st.sampled_from(["echo", "early", "halfway"]))
    path = f"/{kind}/{draw(st.integers(0, 99))}"
    content = draw(bodies)
    headers = b"Host: front\r\n" + (b"Expect: 100-continue\r\n" if draw(st.booleans()) else b"")
    if draw(st.booleans()):
        headers += b"Content-Length: %d\r\n" % len(content)
        body = content
    else:
        headers += b"Transfer-Encoding: chunked\r\n"
        cuts = sorted({0, len(content), *draw(st.lists(st.integers(0, len(content)), max_size=3))})
        pieces = [content[start:end] for start, end in pairwise(cuts)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    head = f"POST {path} HTTP/1.1\r\n".encode() + headers + b"\r\n"
    return Framed(path, head, body, content, kind == "early" and len(body) > 0 and draw(st.booleans()))


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with running() as started:
        yield started


@SHORT
@given(
    sequence=st.lists(requests(), min_size=1, max_size=5, unique_by=lambda one: one.path),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_px_7_only_correctly_framed_requests_reach_the_application_for_any_order_of_bytes(
    front: Front, sequence: list[Framed], cuts: list[int]
) -> None:
    front.start_afresh()
    end = b"GET /end HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"
    received = b""
    with front.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError):
            unsent = b""
            for request in sequence:
                unsent += request.wire
                if request.abandons:
                    send_in_pieces(client, unsent, cuts)
                    unsent = b""
                    received += read_up_to_answer(client, request.path)
            send_in_pieces(client, unsent + end, cuts)
        with suppress(ConnectionError):
            while chunk := client.recv(65_536):
                received += chunk
    check(front, sequence, received)


def send_in_pieces(client: socket.socket, data: bytes, cuts: list[int]) -> None:
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(borders):
        client.sendall(data[start:end])


def read_up_to_answer(client: socket.socket, path: str) -> bytes:
    """Read until the answer of `path` has begun, or the connection has ended."""
    received = b""
    while path.encode() + b" " not in received and (chunk := client.recv(65_536)):
        received += chunk
    return received


def check(front: Front, sequence: list[Framed], received: bytes) -> None:
    framed = [request.path for request in sequence] + ["/end"]
    reached = front.app.paths
    assert reached == framed[: len(reached)], "something else than the next framed request"
    for earlier, request in zip(reached[1:], sequence, strict=False):
        assert not request.abandons, f"{earlier} came after a request whose body never came"
    contents = {request.path: set[bytes]() for request in sequence}
    for request in sequence:
        contents[request.path].add(b"" if "early" in request.path else request.content)
    answers = [path for path in reached if path not in front.app.broken_off]
    for path, body in zip(answers, front.app.bodies, strict=False):
        assert path == "/end" or body in contents[path], "a body that was not framed so"
    assert received.count(b"HTTP/1.1 200") <= len(reached)
    assert b"HTTP/1.1 4" not in received
    if received.count(b"connection: close") == 0:
        assert reached == framed, "a kept connection lost a request"


def test_this_test_would_notice_a_smuggled_request(front: Front) -> None:
    """The control for the rule above: if the hidden request is sent by itself, it does arrive."""
    front.start_afresh()
    assert front.exchange(SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).endswith(b"/smuggled ")
    assert front.app.paths == ["/smuggled"]
