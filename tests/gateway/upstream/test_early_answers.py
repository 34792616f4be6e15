"""An upstream answers before it has read the request. Its answer arrives, and its connection is not used again."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.door import Door, open_door, wait_until

MIB = 1 << 20
ANSWER = b"HTTP/1.1 413 Too Large\r\nContent-Length: 20\r\n\r\nthe upstream says no!"[:-1]
Serve = Callable[[socket.socket], None]


@contextmanager
def raw_upstream(serve: Serve, *, head_first: bool = True) -> Iterator[str]:
    """A server that hands each connection to `serve` in a thread; with `head_first`, after reading the request head."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                threading.Thread(target=handle, args=(accepted,), daemon=True).start()

    def handle(accepted: socket.socket) -> None:
        with accepted, suppress(OSError):
            received = b""
            while head_first and b"\r\n\r\n" not in received:
                received += accepted.recv(1)
            serve(accepted)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def answer_and_close(accepted: socket.socket) -> None:
    """With unread bytes this is a reset."""
    accepted.sendall(ANSWER)


def answer_and_reset(accepted: socket.socket) -> None:
    accepted.sendall(ANSWER)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_a_little_and_close(accepted: socket.socket) -> None:
    for _ in range(20):
        accepted.recv(65_536)
    accepted.sendall(ANSWER)


def upload(door: Door, size: int) -> bytes:
    """What a client gets that sends and reads at the same time, as curl does."""
    left = b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size
    view, received = memoryview(left), b""
    with door.connect() as client:
        client.setblocking(False)
        while True:
            readable, writable, _ = select.select([client], [client] if view else [], [], 5)
            if readable:
                try:
                    chunk = client.recv(65_536)
                except ConnectionResetError:
                    return received
                if not chunk:
                    return received
                received += chunk
            elif writable:
                try:
                    view = view[client.send(view) :]
                except ConnectionError:
                    view = view[:0]
            else:
                return received


@pytest.mark.parametrize("serve", [answer_and_close, answer_and_reset, read_a_little_and_close])
def test_the_answer_of_an_upstream_that_closes_without_reading_the_body_always_arrives(serve: Serve) -> None:
    with raw_upstream(serve) as url, open_door(url) as door:
        answers = [upload(door, 9 * MIB) for _ in range(20)]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 413"] * 20
    assert all(answer.endswith(b"the upstream says no") for answer in answers)


def test_an_upstream_that_resets_the_connection_without_an_answer_gives_502(door_to_nothing: Door) -> None:
    assert upload(door_to_nothing, MIB).startswith(b"HTTP/1.1 502")


def test_an_incomplete_answer_before_a_reset_is_not_taken_as_complete() -> None:
    def break_off(accepted: socket.socket) -> None:
        accepted.sendall(ANSWER[:-5])

    with raw_upstream(break_off) as url, open_door(url) as door:
        for _ in range(5):
            answer = upload(door, 2 * MIB)
            assert not answer.endswith(b"the upstream says no")
            assert not answer.startswith(b"HTTP/1.1 200")


@pytest.fixture
def door_to_nothing() -> Iterator[Door]:
    with raw_upstream(lambda accepted: None) as url, open_door(url) as door:
        yield door


def test_a_connection_with_an_incomplete_request_is_not_used_again() -> None:
    """The upstream keeps it open and would read the next request as the rest of this one's body."""
    seen: list[bytes] = []

    def answer_and_listen(accepted: socket.socket) -> None:
        accepted.sendall(ANSWER)
        while chunk := accepted.recv(65_536):
            seen.append(chunk)

    with raw_upstream(answer_and_listen) as url, open_door(url) as door:
        for framing in (b"Content-Length: 1000\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            with door.connect() as client:
                client.sendall(b"POST /first HTTP/1.1\r\nHost: x\r\n" + framing)
                answer = client.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 413")
                assert b"connection: close" in answer
        assert door.get("/next")[0].status == 413
        assert door.app.http is not None
        pool = door.app.http.pool
        wait_until(lambda: pool.open_connections == pool.idle_connections)
    assert b"GET /next" not in b"".join(seen)


def test_the_client_connection_closes_after_an_answer_that_overlapped_the_body() -> None:
    """An upstream may answer while it is reading. The request and the answer both arrive complete."""

    def echo(accepted: socket.socket) -> None:
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        received = b""
        while len(received) < 6:
            received += accepted.recv(100)
        accepted.sendall(received)

    with raw_upstream(echo) as url, open_door(url) as door, door.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        head = client.recv(65_536)
        client.sendall(b"def" + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        while chunk := client.recv(65_536):
            head += chunk
    assert b"connection: close" in head
    assert head.endswith(b"\r\n\r\nabcdef")
    assert len(door.app.results) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ANSWER, b"413"),
        (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ANSWER, b"413"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + ANSWER, b"502"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + ANSWER, b"502"),
        (ANSWER + ANSWER, b"413"),
    ],
    ids=["status 100", "102 and 103", "status 101", "101 without Upgrade", "two answers"],
)
def test_interim_answers_are_skipped_and_101_or_a_second_answer_closes_the_connection(
    raw: bytes, status: bytes
) -> None:
    upstream = RecordingUpstream()
    upstream.respond("/odd", raw=raw)
    upstream.respond("/next", body="next")
    with upstream, open_door(upstream.url) as door:
        with door.connect() as client:
            client.sendall(b"POST /odd HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
            received = b""
            while chunk := client.recv(65_536):
                received += chunk
        assert received.startswith(b"HTTP/1.1 " + status)
        assert received.count(b"HTTP/1.1") == 1
        assert door.get("/next")[1] == b"next"
