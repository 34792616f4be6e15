from __future__ import annotations

import hashlib
import socket
import time
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.fakes import HANG, RecordingUpstream, Reply, UpstreamWebSocket, pattern_sha256, sse_reply


def talk(upstream: RecordingUpstream, raw: bytes) -> bytes:
    """Send bytes, read until the server closes."""
    with socket.create_connection(("127.0.0.1", upstream.port), timeout=5) as connection:
        connection.sendall(raw)
        received = b""
        while block := connection.recv(65_536):
            received += block
    return received


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=5)


def test_a_request_is_recorded_byte_for_byte(upstream: RecordingUpstream) -> None:
    head = b"POST /A%2f?q=%20 HTTP/1.1\r\nhOST: x\r\nX-Dup: 1\r\nx_odd: 2\r\nX-Dup: 3\r\nConnection: close\r\n"
    raw = head + b"Transfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n"
    assert talk(upstream, raw).startswith(b"HTTP/1.1 200 OK\r\n")
    request = upstream.last
    assert request.head + request.wire_body == raw
    assert request.request_line == b"POST /A%2f?q=%20 HTTP/1.1"
    assert request.names() == ["hOST", "X-Dup", "x_odd", "X-Dup", "Connection", "Transfer-Encoding"]
    assert request.values("x-dup") == ["1", "3"]
    assert (request.path, request.query, request.body) == ("/A%2f", "q=%20", b"abcde")
    assert request.trailers == ((b"X-Trailer", b"t"),)
    with pytest.raises(AssertionError):
        request.header("x-dup")


def test_pipelined_requests_are_recorded_separately(upstream: RecordingUpstream) -> None:
    first = b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
    second = b"GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert talk(upstream, first + second).count(b"HTTP/1.1 200") == 2
    assert [(each.path, each.connection) for each in upstream.requests] == [("/1", 1), ("/2", 1)]


def test_malformed_and_aborted_requests_are_recorded(upstream: RecordingUpstream) -> None:
    assert b" 400 " in talk(upstream, b"NOT HTTP\r\n\r\n")
    assert upstream.malformed == [b"NOT HTTP\r\n\r\n"]
    with socket.create_connection(("127.0.0.1", upstream.port)) as connection:
        connection.sendall(b"POST /cut HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    upstream.wait_for(lambda it: bool(it.requests))
    assert (upstream.last.complete, upstream.last.body) == (False, b"abc")


def test_the_default_answer_echoes_the_request_and_keeps_the_connection(upstream: RecordingUpstream) -> None:
    with httpx.Client() as http:
        echoed = http.post(f"{upstream.url}/x?y=1", content=b"body").json()
        http.get(upstream.url)
    assert (echoed["target"], echoed["body"]) == ("/x?y=1", "body")
    assert [request.connection for request in upstream.requests] == [1, 1]


def test_the_upstream_sends_programmed_answers(upstream: RecordingUpstream) -> None:
    upstream.respond("/made", status=418, headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], body="tea")
    upstream.respond("/made", json={"once": True}, times=1)
    upstream.respond("/tree/*", body="prefix")
    upstream.respond_with("/call", lambda request: Reply(body=request.query.encode()))
    assert get(f"{upstream.url}/made").json() == {"once": True}
    made = get(f"{upstream.url}/made")
    assert (made.status_code, made.headers.get_list("set-cookie"), made.text) == (418, ["a=1", "b=2"], "tea")
    assert get(f"{upstream.url}/tree/leaf").text == "prefix"
    assert get(f"{upstream.url}/call?q").text == "q"


def test_raw_bytes_are_sent_unchanged(upstream: RecordingUpstream) -> None:
    raw = b"HTTP/1.1 200 Odd  Reason\r\nx-CASE: 1\r\nContent-Length: 0\r\n\r\n"
    upstream.respond("/raw", raw=raw, close=True)
    assert talk(upstream, b"GET /raw HTTP/1.1\r\nHost: x\r\n\r\n") == raw


def test_the_parts_of_a_stream_arrive_at_the_given_times(upstream: RecordingUpstream) -> None:
    upstream.respond_with("/events", sse_reply(["one", "two\nlines"], every=0.2))
    started = time.monotonic()
    with httpx.stream("GET", f"{upstream.url}/events") as response:
        parts = [(part, time.monotonic() - started) for part in response.iter_raw()]
    assert [part for part, _ in parts] == [b"data: one\n\n", b"data: two\ndata: lines\n\n"]
    assert parts[0][1] < 0.19 <= parts[1][1]


def test_the_upstream_notices_that_a_client_left_a_stream(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", stream=[b"first", HANG], chunked=True)
    with httpx.stream("GET", f"{upstream.url}/hang") as response:
        assert next(response.iter_raw()) == b"first"
    upstream.wait_for(lambda it: it.aborted == ["/hang"])
    upstream.wait_for(lambda it: it.connections_open == 0)


def test_large_bodies_are_generated_and_counted(upstream: RecordingUpstream) -> None:
    size = 5_000_001
    upstream.respond("/big", size=size)
    body = get(f"{upstream.url}/big").content
    assert (len(body), hashlib.sha256(body).hexdigest()) == (size, pattern_sha256(size))
    httpx.put(f"{upstream.url}/up", content=body)
    assert (upstream.last.body_size, upstream.last.body_sha256) == (size, pattern_sha256(size))


def test_a_body_can_be_cut_read_slowly_or_not_at_all(upstream: RecordingUpstream) -> None:
    upstream.respond("/cut", body=b"x" * 100, close_after=10)
    upstream.respond("/slow", read_rate=10_000)
    upstream.respond("/early", status=413, before_body=True)
    with pytest.raises(httpx.RemoteProtocolError):
        get(f"{upstream.url}/cut")
    started = time.monotonic()
    httpx.post(f"{upstream.url}/slow", content=b"x" * 3000)
    assert time.monotonic() - started > 0.25
    early = talk(upstream, b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    assert early.startswith(b"HTTP/1.1 413 ")


def test_the_upstream_can_listen_on_a_unix_socket(tmp_path: Path) -> None:
    with RecordingUpstream(unix=tmp_path / "up.sock") as upstream:
        transport = httpx.HTTPTransport(uds=upstream.url.removeprefix("unix:"))
        with httpx.Client(transport=transport) as http:
            assert http.get("http://upstream/x").json()["target"] == "/x"


# WebSocket


def test_a_websocket_message_of_three_megabytes_is_echoed(upstream: RecordingUpstream) -> None:
    message = bytes(range(256)) * 12_288
    offered = [Subprotocol("streamlit"), Subprotocol("xsrf"), Subprotocol("session")]
    with connect(f"{upstream.ws_url}/ws", subprotocols=offered, max_size=None, proxy=None) as client:
        assert client.subprotocol == "streamlit"
        client.send(message)
        assert client.recv(timeout=5) == message
        client.send("text")
        assert client.recv(timeout=5) == "text"
        assert len(upstream.websockets_open) == 1
    opened = upstream.websockets[0]
    assert opened.wait_closed() == 1000
    assert opened.request.subprotocols == ["streamlit", "xsrf", "session"]
    assert [(each.size, each.frames) for each in opened.messages] == [(len(message), 1), (4, 1)]
    assert opened.messages[0].sha256 == hashlib.sha256(message).hexdigest()
    assert not upstream.websockets_open


def test_websocket_fragments_are_echoed_frame_by_frame(upstream: RecordingUpstream) -> None:
    with connect(f"{upstream.ws_url}/ws", proxy=None) as client:
        client.send(["one ", "two ", "three"])
        assert list(client.recv_streaming()) == ["one ", "two ", "three", ""]
    assert upstream.websockets[0].messages[0].text == "one two three"


@pytest.mark.parametrize("frame_size", [None, 70_001])
def test_a_websocket_message_of_any_size_can_be_sent(upstream: RecordingUpstream, frame_size: int | None) -> None:
    size = 300_000
    with connect(f"{upstream.ws_url}/ws", max_size=None, proxy=None) as client:
        upstream.wait_for(lambda it: len(it.websockets_open) == 1)
        upstream.websockets_open[0].send_size(size, frame_size=frame_size)
        message = client.recv(timeout=5)
    assert isinstance(message, bytes)
    assert hashlib.sha256(message).hexdigest() == pattern_sha256(size)


def test_the_websocket_server_can_greet_close_and_disconnect(upstream: RecordingUpstream) -> None:
    def greet(opened: UpstreamWebSocket) -> None:
        opened.send("hello")
        opened.close(4401, "expired")

    upstream.websocket("/greet", on_open=greet, subprotocol=None)
    with connect(f"{upstream.ws_url}/greet", proxy=None) as client:
        assert client.recv(timeout=5) == "hello"
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
        assert (client.close_code, client.close_reason) == (4401, "expired")
    with connect(f"{upstream.ws_url}/ws", proxy=None) as client:
        upstream.wait_for(lambda it: len(it.websockets_open) == 1)
        upstream.websockets_open[0].abort()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=5)
    assert upstream.websockets[-1].wait_closed() == 1006


def test_reading_from_a_websocket_can_be_paused(upstream: RecordingUpstream) -> None:
    with connect(f"{upstream.ws_url}/ws", proxy=None) as client:
        upstream.wait_for(lambda it: len(it.websockets_open) == 1)
        opened = upstream.websockets_open[0]
        opened.pause_reading()
        client.send("x")
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
        opened.resume_reading()
        assert client.recv(timeout=5) == "x"


def test_a_websocket_upgrade_can_be_refused_with_any_answer(upstream: RecordingUpstream) -> None:
    upstream.respond("/no", status=403, body="not you")
    with pytest.raises(InvalidStatus) as refused, connect(f"{upstream.ws_url}/no", proxy=None):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not you")
    assert upstream.last.is_websocket()
