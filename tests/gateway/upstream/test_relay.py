"""One exchange through the guarded server: streaming, limits, disconnects, broken upstreams."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.upstream.dial import client_tls
from tests.fakes.replies import HANG, pattern_blocks, pattern_sha256, sse_reply
from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.certificate import make_certificate
from tests.gateway.upstream.door import SNIPPET, Door, open_door, wait_until

MIB = 1024 * 1024


@pytest.fixture
def door(upstream: RecordingUpstream) -> Iterator[Door]:
    with open_door(upstream.url, timeouts={"first_byte_timeout": 5, "idle_timeout": 5}) as opened:
        yield opened


def exchange(door: Door, data: bytes) -> bytes:
    """Send raw bytes and give everything that comes until the server closes."""
    with door.connect() as client:
        client.sendall(data)
        received = b""
        while chunk := client.recv(65_536):
            received += chunk
        return received


def test_a_request_and_its_answer_are_passed_on_unchanged(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond("/a%20b", status=201, headers=[("X-One", "1"), ("X-One", "2")], body="made")
    response, body = door.get("/a%20b?q=%2F", method="PUT", body=b"data", headers={"X-Mine": "1", "Cookie": "a=1"})
    assert (response.status, body) == (201, b"made")
    assert response.headers.get_all("x-one") == ["1", "2"]
    request = upstream.last
    assert (request.method, request.target, request.body) == ("PUT", b"/a%20b?q=%2F", b"data")
    assert (request.header("host"), request.header("x-mine")) == (f"127.0.0.1:{door.port}", "1")
    assert door.app.results[-1].request_bytes == 4
    assert door.app.results[-1].response_bytes == 4


def test_server_sent_events_arrive_one_by_one(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond_with("/events", sse_reply(["one", "two", "three"], every=0.3))
    client = door.client()
    client.request("GET", "/events")
    response = client.getresponse()
    arrivals = []
    for expected in (b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"):
        assert response.read(len(expected)) == expected
        arrivals.append(time.monotonic())
    assert arrivals[1] - arrivals[0] > 0.2
    assert arrivals[2] - arrivals[1] > 0.2
    client.close()


def test_the_first_bytes_arrive_before_the_response_ends(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond("/drip", stream=[b"a", HANG], chunked=True)
    client = door.client()
    client.request("GET", "/drip")
    assert client.getresponse().read(1) == b"a"
    client.close()


def test_the_answer_to_head_keeps_its_length_and_has_no_body(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond("/file", body=b"x" * 1234)
    response, body = door.get("/file", method="HEAD")
    assert (response.status, response.headers["content-length"], body) == (200, "1234", b"")
    assert door.get("/file")[1] == b"x" * 1234


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_does_not_disturb_the_next_answer(
    door: Door, upstream: RecordingUpstream, status: int
) -> None:
    upstream.respond("/none", raw=b"HTTP/1.1 %d None\r\nETag: x\r\nContent-Length: 7\r\n\r\n" % status)
    upstream.respond("/next", body="next")
    client = door.client()
    for path, expected in (("/none", (status, b"")), ("/next", (200, b"next"))):
        client.request("GET", path)
        response = client.getresponse()
        assert (response.status, response.read()) == expected
    client.close()


def test_a_chunked_request_stays_chunked_and_its_trailers_are_dropped(door: Door, upstream: RecordingUpstream) -> None:
    exchange(
        door,
        b"POST /u HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\nhello\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
    )
    assert upstream.last.body == b"hello"
    assert upstream.last.trailers == ()
    assert upstream.last.header("transfer-encoding") == "chunked"
    assert upstream.last.header("content-length") is None
    assert upstream.last.header("authorization") is None


def test_expect_100_continue_is_answered_here_and_not_passed_on(door: Door, upstream: RecordingUpstream) -> None:
    with door.connect() as client:
        client.sendall(
            b"POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"hi")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
    assert (upstream.last.body, upstream.last.header("expect")) == (b"hi", None)


def test_an_answer_sent_before_the_end_of_the_body_reaches_the_client(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond("/early", status=413, body="no", before_body=True, close=True)
    with door.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        assert client.recv(65_536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("headers", [b"Content-Length: 11\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nb\r\n"])
def test_a_body_over_the_limit_gets_413_before_any_answer(upstream: RecordingUpstream, headers: bytes) -> None:
    with open_door(upstream.url, max_body_bytes=10) as door:
        answer = exchange(door, b"POST /u HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + b"x" * 11)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"x-code: body_too_large" in answer
        wait_until(lambda: upstream.connections_open == 0)
        assert not any(request.complete for request in upstream.requests)


def test_a_body_at_the_limit_is_accepted(upstream: RecordingUpstream) -> None:
    with open_door(upstream.url, max_body_bytes=10) as door:
        assert door.get("/u", method="POST", body=b"x" * 10)[0].status == 200
        assert door.get("/u", method="POST", body=iter([b"x" * 5, b"x" * 5]))[0].status == 200


@pytest.mark.parametrize("how", ["waiting", "streaming", "uploading"])
def test_the_upstream_request_ends_when_the_client_leaves(door: Door, upstream: RecordingUpstream, how: str) -> None:
    upstream.respond("/waiting", body="x", delay=HANG)
    upstream.respond("/streaming", stream=[b"x", HANG], chunked=True)
    with door.connect() as client:
        length = b"Content-Length: 100\r\n" if how == "uploading" else b""
        client.sendall(b"POST /%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (how.encode(), length))
        wait_until(lambda: upstream.connections == 1)
        time.sleep(0.2)
        assert upstream.connections_open == 1
    wait_until(lambda: upstream.connections_open == 0, seconds=2)
    wait_until(lambda: len(door.app.results) == 1)
    assert door.app.results[0].is_client_gone
    assert not any(request.complete for request in upstream.requests if how == "uploading")


def test_a_fast_download_ends_when_the_client_leaves(door: Door, upstream: RecordingUpstream) -> None:
    upstream.respond("/big", size=1024 * MIB)
    with door.connect() as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(65_536)
    wait_until(lambda: upstream.connections_open == 0, seconds=2)


@pytest.mark.parametrize(
    ("reply", "received"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"half"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"half"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n", b"half"),
    ],
)
def test_an_incomplete_response_never_looks_complete_to_the_client(
    door: Door, upstream: RecordingUpstream, reply: bytes, received: bytes
) -> None:
    upstream.respond("/broken", raw=reply, close=True)
    answer = exchange(door, b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"content-length: 10" in answer or received in answer
    assert door.app.results[0].error is not None


def test_a_response_that_stalls_is_aborted(upstream: RecordingUpstream) -> None:
    upstream.respond("/stall", stream=[b"x", HANG], chunked=True)
    with open_door(upstream.url, timeouts={"idle_timeout": 0.2}) as door:
        answer = exchange(door, b"GET /stall HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not answer.endswith(b"0\r\n\r\n")
        error = door.app.results[0].error
        assert error is not None
        assert error.code == "upstream_timeout"


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX-\x01bad: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"",
    ],
)
def test_an_invalid_response_of_the_upstream_gives_502(door: Door, upstream: RecordingUpstream, reply: bytes) -> None:
    upstream.respond("/nonsense", raw=reply, close=True)
    response, _ = door.get("/nonsense")
    assert response.status == 502
    assert response.headers["x-code"] in ("upstream_protocol", "upstream_closed")


def test_an_upstream_that_is_down_gives_502_until_it_is_up_again(door: Door, upstream: RecordingUpstream) -> None:
    assert door.get("/x")[0].status == 200
    upstream.stop()
    assert door.get("/x")[0].headers["x-code"] == "upstream_connect"
    upstream.start()
    assert door.get("/x")[0].status == 200


def test_an_upstream_that_does_not_answer_gives_504(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", body="x", delay=HANG)
    with open_door(upstream.url, timeouts={"first_byte_timeout": 0.2}) as door:
        assert door.get("/hang")[0].status == 504


def test_a_client_that_stops_sending_its_body_gets_408(upstream: RecordingUpstream) -> None:
    with open_door(upstream.url, timeouts={"idle_timeout": 0.3}) as door, door.connect() as client:
        client.sendall(b"POST /u HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        assert client.recv(65_536).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("chunked", [False, True])
def test_the_session_script_is_inserted_into_pages(door: Door, upstream: RecordingUpstream, *, chunked: bool) -> None:
    page = "<!doctype html><html><head><title>a</title></head><body>b</body></html>"
    headers = [("Content-Type", "text/html; charset=utf-8"), ("ETag", '"1"')]
    if chunked:
        upstream.respond("/page", headers=headers, stream=[page[:18], 0.05, page[18:]], chunked=True)
    else:
        upstream.respond("/page", headers=headers, body=page)
    response, body = door.get("/page")
    assert body == page.encode().replace(b"<head>", b"<head>" + SNIPPET)
    assert response.headers["etag"] is None
    head, empty = door.get("/page", method="HEAD")
    assert (head.status, empty) == (200, b"")


def test_an_upstream_with_an_unknown_certificate_is_refused_and_with_a_known_one_accepted(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with RecordingUpstream(tls=(certificate, key)) as upstream:
        target = f"https://localhost:{upstream.port}"
        contexts: list[tuple[ssl.SSLContext, str, int]] = [
            (client_tls(), target, 502),
            (client_tls(str(certificate)), target, 200),
            (client_tls(str(certificate)), upstream.url, 502),
        ]
        for context, url, status in contexts:
            with open_door(url, ssl_context=context) as door:
                assert door.get("/x")[0].status == status


@contextmanager
def door_process(target: str) -> Iterator[tuple[int, int]]:
    """A door in a process of its own: its port and process id."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gateway.upstream.door", target], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def peak_memory(pid: int) -> int:
    """Most bytes of memory a process ever held."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def request_head(method: bytes, length: int = 0) -> bytes:
    return b"%s /big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (method, length)


def test_200_megabytes_are_passed_on_both_ways_with_little_memory(upstream: RecordingUpstream) -> None:
    size = 200 * MIB
    with door_process(upstream.url) as (port, pid):
        wait_until(lambda: _answers(port), seconds=10)
        before = peak_memory(pid)
        upstream.respond("/big", size=size)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.3)  # A reader that starts late: what is sent meanwhile waits at the upstream, not here.
            assert _body_sha256(client) == pattern_sha256(size)
        upstream.reset()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(request_head(b"PUT", size))
            send_pattern(client, size)
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert (upstream.last.body_size, upstream.last.body_sha256) == (size, pattern_sha256(size))
        assert peak_memory(pid) - before < 24 * MIB


def test_an_upload_to_a_slow_upstream_slows_the_client_down(upstream: RecordingUpstream) -> None:
    upstream.respond("/big", body="x", read_rate=1000.0)
    with door_process(upstream.url) as (port, pid):
        wait_until(lambda: _answers(port), seconds=10)
        before = peak_memory(pid)
        with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
            client.sendall(request_head(b"PUT", 100 * MIB))
            with pytest.raises(TimeoutError):
                send_pattern(client, 100 * MIB)
        assert peak_memory(pid) - before < 16 * MIB


def send_pattern(client: socket.socket, size: int) -> None:
    for block in pattern_blocks(size):
        client.sendall(block)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return client.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def _body_sha256(client: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(65_536)
    digest = hashlib.sha256(received.partition(b"\r\n\r\n")[2])
    while chunk := client.recv(262_144):
        digest.update(chunk)
    return digest.hexdigest()
