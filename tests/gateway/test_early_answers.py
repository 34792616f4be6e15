"""How a connection ends when its answer came before the body, on plain sockets and under TLS: SECURITY PX-7, DS-3."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from bff.settings.tables import LimitSettings, Tls
from gateway.serving import gentle_transport
from tests.gateway.front import Front, read_all, running, wait_for
from tests.gateway.upstream.certificate import make_certificate

HOST = b"Host: front\r\n"
SECOND = b"GET /second HTTP/1.1\r\nHost: front\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
MIB = 1 << 20
UPGRADE = (
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Connection: Upgrade\r\n"
)
Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def shared() -> Iterator[Front]:
    with running() as started:
        yield started


@pytest.fixture
def front(shared: Front) -> Front:
    shared.start_afresh()
    return shared


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def shared_tls(certificate: tuple[Path, Path]) -> Iterator[Front]:
    tls = Tls(certificate_file=str(certificate[0]), key_file=str(certificate[1]))
    with running(tls=tls) as started:
        yield started


@pytest.fixture(params=["plain", "TLS"])
def reached(request: pytest.FixtureRequest, certificate: tuple[Path, Path]) -> tuple[Front, Connect]:
    """A front with nothing recorded, and how to connect to it."""
    front: Front = request.getfixturevalue("shared" if request.param == "plain" else "shared_tls")
    front.start_afresh()
    if request.param == "plain":
        return front, front.connect
    context = ssl.create_default_context(cafile=str(certificate[0]))
    return front, lambda: context.wrap_socket(front.connect(), server_hostname="localhost")


def post(path: bytes, headers: bytes, body: bytes = b"", *, version: bytes = b"1.1") -> bytes:
    return b"POST " + path + b" HTTP/" + version + b"\r\n" + HOST + headers + b"\r\n" + body


def head_of(client: socket.socket) -> bytes:
    """What has come when an answer's head is whole."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(65_536)
        assert chunk, received
        received += chunk
    return received


def rest_of(client: socket.socket) -> bytes:
    """What comes up to the end of the connection, however it ends."""
    received = b""
    with suppress(ConnectionError, ssl.SSLError):
        while chunk := client.recv(65_536):
            received += chunk
    return received


# What follows is never a request.


BODIES = {
    "length": (b"Content-Length: 2000\r\n", b""),
    "length, expecting": (EXPECT + b"Content-Length: 2000\r\n", b""),
    "chunks": (b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n"),
    "chunks, expecting": (EXPECT + b"Transfer-Encoding: chunked\r\n", b""),
    "begun": (b"Content-Length: 2000\r\n", b"abc"),
    "all but one byte": (b"Content-Length: 2000\r\n", b"a" * 1999),
    "all chunks but the end": (b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\n"),
}


@pytest.mark.parametrize(("headers", "begun"), BODIES.values(), ids=BODIES.keys())
def test_px_7_bytes_after_an_early_answer_are_not_read_as_a_request(
    reached: tuple[Front, Connect], headers: bytes, begun: bytes
) -> None:
    front, connect = reached
    with connect() as client:
        client.sendall(post(b"/early", headers, begun))
        answer = head_of(client)
        with suppress(ConnectionError, ssl.SSLError):
            for _ in range(60):
                client.sendall(b"\r\n\r\n" + SECOND)
        answer += rest_of(client)
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.endswith(b"/early ")
    wait_for(lambda: not front.state.connections)
    assert front.app.paths == ["/early"]


def test_px_7_the_connection_closes_when_the_body_is_complete_only_after_the_answer_began(
    reached: tuple[Front, Connect],
) -> None:
    front, connect = reached
    with connect() as client:
        client.sendall(post(b"/halfway", b"Content-Length: 3\r\n"))
        answer = head_of(client)
        client.sendall(b"abc" + SECOND + SECOND)
        answer += rest_of(client)
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"/halfway abc\r\n0\r\n\r\n")
    assert front.app.paths == ["/halfway"]


def test_px_7_the_connection_stays_open_when_the_body_is_complete_before_the_answer(
    reached: tuple[Front, Connect],
) -> None:
    front, connect = reached
    with connect() as client:
        client.sendall(post(b"/early", b"Content-Length: 3\r\n", b"abc"))
        assert b"connection: close" not in head_of(client)
        client.sendall(post(b"/early/chunks", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"))
        assert b"connection: close" not in head_of(client)
        client.sendall(SECOND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert rest_of(client).endswith(b"/second ")
    assert front.app.paths == ["/early", "/early/chunks", "/second"]


def test_px_7_a_queued_request_with_an_unread_body_is_answered_and_the_connection_closes(front: Front) -> None:
    queued = post(b"/early", EXPECT + b"Content-Length: 2000\r\n")
    with front.connect() as client:
        client.sendall(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + queued)
        received = head_of(client)
        while received.count(b"\r\n\r\n") < 2:
            received += client.recv(65_536)
        client.sendall(SECOND)
        received += read_all(client)
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.count(b"connection: close") == 1
    assert front.app.paths == ["/slow", "/early"]


def test_px_7_bytes_after_a_request_with_connection_close_are_not_parsed(front: Front) -> None:
    """Not even a request that would be refused: the answer is not lost because of bytes after it."""
    last = b"GET /slow HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    answer = front.exchange(last + b"\x00 nonsense\r\n\r\n" + SECOND)
    assert answer.endswith(b"/slow ")
    assert answer.count(b"HTTP/1.1") == 1
    assert front.app.paths == ["/slow"]


# The answer survives.


@pytest.mark.parametrize("sent", [50_000, 900_000], ids=["50 KB behind", "900 KB behind"])
def test_px_7_a_client_that_sends_before_it_reads_still_gets_an_early_answer(
    reached: tuple[Front, Connect], sent: int
) -> None:
    """A plain close would reset the connection, and the answer would be lost."""
    front, connect = reached
    for _ in range(5):
        with connect() as client:
            client.sendall(post(b"/early/long/30000", b"Content-Length: 5000000\r\n", b"a" * sent))
            time.sleep(0.05)
            client.sendall(b"a" * 20_000)
            received = read_all(client)
        assert received.endswith(b"\r\n\r\n" + b"x" * 30_000), len(received)
    assert len(front.app.paths) == 5


def test_px_7_a_slow_reader_gets_a_long_early_answer_completely(
    reached: tuple[Front, Connect], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the client reads counts. This takes three times as long as the end may take."""
    monkeypatch.setattr(gentle_transport, "LINGER_SECONDS", 0.3)
    _, connect = reached
    with connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.sendall(post(b"/early/long/6000000", EXPECT + b"Content-Length: 10\r\n"))
        received = 0
        while chunk := client.recv(65_536):
            received += len(chunk)
            time.sleep(0.01)
    assert received > 6_000_000


def test_px_7_an_early_answer_can_take_longer_than_the_body_timeout(front: Front) -> None:
    """The client no longer has to send a body, so its answer is not cut because the body is missing."""
    with running(LimitSettings(header_timeout_seconds=0.1)) as hasty, hasty.connect() as client:
        client.sendall(post(b"/early/drip", EXPECT + b"Content-Length: 100000\r\n"))
        assert read_all(client).endswith(b"/early/drip ")


def test_px_7_the_connection_is_closed_at_once_after_an_early_answer(
    reached: tuple[Front, Connect], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a half-close, or by close_notify under TLS: nobody waits for the server's own end of the connection."""
    monkeypatch.setattr(gentle_transport, "LINGER_SECONDS", 60)
    _, connect = reached
    started = time.monotonic()
    with connect() as client:
        client.sendall(post(b"/early", EXPECT + b"Content-Length: 10\r\n"))
        assert read_all(client).endswith(b"/early ")
    assert time.monotonic() - started < 20


# The time of the end is limited.


def test_ds_3_a_client_that_keeps_sending_after_an_early_answer_is_disconnected(reached: tuple[Front, Connect]) -> None:
    front, connect = reached
    started, sent = time.monotonic(), 0
    with connect() as client:
        client.sendall(post(b"/early", b"Content-Length: 1000000000\r\n"))
        assert b"connection: close" in head_of(client)
        with suppress(OSError):
            while time.monotonic() - started < 20:
                sent += client.send(b"a" * 65_536)
        assert time.monotonic() - started < 20
    wait_for(lambda: not front.state.connections)


def test_ds_3_at_most_one_mebibyte_is_read_after_an_early_answer(front: Front) -> None:
    """The kernel also buffers bytes, and limits them itself. Here its buffers are small."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        client.settimeout(1)
        client.connect(("127.0.0.1", front.port))
        client.sendall(post(b"/early", b"Content-Length: 1000000000\r\n"))
        assert b"connection: close" in head_of(client)
        sent = 0
        with suppress(TimeoutError, ConnectionError):
            while sent < 64 * MIB:
                sent += client.send(b"a" * 65_536)
    assert MIB // 2 < sent < 10 * MIB


def test_ds_3_a_client_that_is_silent_after_an_early_answer_is_disconnected(reached: tuple[Front, Connect]) -> None:
    front, connect = reached
    with connect() as client:
        client.sendall(post(b"/early", EXPECT + b"Content-Length: 10\r\n"))
        head_of(client)
        wait_for(lambda: not front.state.connections)


def test_ds_3_a_connection_is_counted_until_it_is_closed() -> None:
    """Otherwise a stranger could hold more by collecting answers without bodies."""
    with running(LimitSettings(connections_per_address=2)) as few, ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(few.connect())
            client.sendall(post(b"/early", EXPECT + b"Content-Length: 10\r\n"))
            assert head_of(client).startswith(b"HTTP/1.1 200")
        assert few.exchange(b"").startswith(b"HTTP/1.1 429")
        wait_for(lambda: few.exchange(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n").startswith(b"HTTP/1.1 200"))


def test_ds_3_many_refused_connections_are_not_kept_open() -> None:
    with running(LimitSettings(connections_per_address=5)) as few, ExitStack() as stack:
        held = [stack.enter_context(few.connect()) for _ in range(40)]
        wait_for(lambda: len(few.state.connections) <= 10)
        for client in held[20:]:
            assert rest_of(client) == b""


# Expectations.


@pytest.mark.parametrize(
    "headers",
    [
        b"Expect: 200-ok\r\n",
        b"Expect:\r\n",
        b"Expect: 100-continue, 100-continue\r\n",
        b"Expect: 100-continue;q=1\r\n",
        EXPECT + EXPECT,
        EXPECT + b"Expect: 200-ok\r\n",
    ],
    ids=["another", "empty", "a list", "a parameter", "twice", "two"],
)
def test_px_7_an_expect_header_other_than_100_continue_gets_417(front: Front, headers: bytes) -> None:
    answer = front.exchange(post(b"/first", headers + b"Content-Length: 2000\r\n", SECOND))
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert b"\r\nconnection: close\r\n" in answer
    assert front.app.paths == []


@pytest.mark.parametrize("spelling", [b"100-continue", b"100-Continue", b" 100-CONTINUE"])
def test_px_7_100_continue_is_sent_once_when_the_body_is_read(front: Front, spelling: bytes) -> None:
    with front.connect() as client:
        client.sendall(post(b"/x", b"Expect:" + spelling + b"\r\nContent-Length: 3\r\nConnection: close\r\n"))
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"/x abc")


def test_px_7_an_http_1_0_request_gets_no_100_continue(front: Front) -> None:
    for expectation in (EXPECT, b"Expect: 200-ok\r\n"):
        answer = front.exchange(post(b"/old", expectation + b"Content-Length: 3\r\n", b"abc", version=b"1.0"))
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"/old abc")


@pytest.mark.parametrize("headers", [b"", b"Content-Length: 0\r\n"], ids=["no body", "empty body"])
def test_px_7_a_request_without_a_body_gets_no_100_continue(front: Front, headers: bytes) -> None:
    answer = front.exchange(post(b"/none", EXPECT + headers + b"Connection: close\r\n"))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


# WebSocket handshakes.


@pytest.mark.parametrize(
    "behind", [SECOND, b"\x81\x83\x00\x00\x00\x00abc", b"\x00" * 50], ids=["a request", "a frame", "zeros"]
)
@pytest.mark.parametrize("when", ["before the answer", "after the answer"])
def test_px_7_bytes_after_a_refused_handshake_are_not_read_as_a_request(
    reached: tuple[Front, Connect], behind: bytes, when: str
) -> None:
    front, connect = reached
    with connect() as client:
        client.sendall(b"GET /refused HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\n")
        wait_for(lambda: len(front.app.websockets) == 1)
        answer = b""
        if when == "after the answer":
            answer += head_of(client)
        with suppress(ConnectionError, ssl.SSLError):
            client.sendall(behind)
            client.sendall(SECOND)
        answer += rest_of(client)
    assert answer.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 ")), answer
    assert answer.count(b"HTTP/1.1") == 1
    assert front.app.paths == []
    wait_for(lambda: not front.state.connections)


@pytest.mark.parametrize("order", [[b"Upgrade", b"keep-alive"], [b"keep-alive", b"Upgrade"]], ids=["first", "last"])
def test_px_12_a_handshake_with_two_connection_headers_is_answered_once(front: Front, order: list[bytes]) -> None:
    """Uvicorn looks at the last `Connection` only, its parser at all of them."""
    headers = UPGRADE.replace(b"Connection: Upgrade\r\n", b"".join(b"Connection: %s\r\n" % each for each in order))
    with front.connect() as client:
        client.sendall(b"GET /refused HTTP/1.1\r\n" + HOST + headers + b"\r\n")
        answer = read_all(client)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 401 "))
    assert answer.count(b"HTTP/1.1") == 1
    assert front.app.paths == []
