"""WebSockets through the guarded server: messages, closing, refusals, limits, back-pressure."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from gateway.upstream.dial import client_tls
from tests.fakes.replies import pattern_sha256
from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.certificate import make_certificate
from tests.gateway.upstream.door import Door, open_door, wait_until
from tests.gateway.upstream.websocket_calls import MIB, closing, dial, raw_socket, the_socket

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"


def refusal(door: Door) -> tuple[int, bytes]:
    with pytest.raises(InvalidStatus) as caught:
        dial(door)
    return caught.value.response.status_code, bytes(caught.value.response.body or b"")


def test_messages_keep_their_order_and_type(door: Door) -> None:
    with dial(door) as client:
        for message in ("text", b"binary", "", b"", "ünïcode", b"\x00\xff"):
            client.send(message)
            assert client.recv(timeout=5) == message
        for number in range(200):
            client.send(str(number))
        assert [client.recv(timeout=5) for _ in range(200)] == [str(number) for number in range(200)]
    assert door.app.client_messages == 206


def test_the_handshake_reaches_the_upstream_with_the_headers_of_the_client(
    door: Door, upstream: RecordingUpstream
) -> None:
    triple = b"streamlit, 2|a1b2|c3d4|1700000000, 5e0c7d1a-session"
    extra = b"Cookie: _streamlit_xsrf=2|x; vestibule=s\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
    client, answer = raw_socket(door, b"Sec-WebSocket-Protocol: " + triple + b"\r\n" + extra)
    client.close()
    request = the_socket(upstream).request
    assert request.values("sec-websocket-protocol") == [triple.decode()]
    assert request.values("host") == ["apps.example.com"]
    assert request.values("origin") == ["https://apps.example.com"]
    assert request.values("cookie") == ["_streamlit_xsrf=2|x"]
    assert request.values("sec-websocket-extensions") == []
    assert request.values("user-agent") == []
    assert len(request.values("sec-websocket-key")) == 1
    assert request.target == b"/s?x=1"
    assert b"sec-websocket-protocol: streamlit\r\n" in answer.lower()
    assert b"sec-websocket-extensions" not in answer.lower()


def test_subprotocols_from_several_headers_arrive_in_order_in_one_header(
    door: Door, upstream: RecordingUpstream
) -> None:
    client, _ = raw_socket(door, b"Sec-WebSocket-Protocol: a, b, a\r\nSec-WebSocket-Protocol: c\r\n")
    client.close()
    assert the_socket(upstream).request.values("sec-websocket-protocol") == ["a, b, a, c"]


@pytest.mark.parametrize("chosen", ["second", None])
def test_the_client_gets_the_subprotocol_that_the_upstream_chose(
    door: Door, upstream: RecordingUpstream, chosen: str | None
) -> None:
    upstream.websocket("/s", subprotocol=chosen)
    with dial(door, subprotocols=["first", "second"]) as client:
        assert client.subprotocol == chosen


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1000, "done"), (1001, ""), (1012, "soon back"), (4000, "bye")]
)
def test_the_close_code_of_the_upstream_reaches_the_client(
    door: Door, upstream: RecordingUpstream, code: int, reason: str
) -> None:
    with dial(door) as client:
        the_socket(upstream).send("last words")
        the_socket(upstream).close(code, reason)
        assert client.recv(timeout=5) == "last words"
        assert closing(client) == (code, reason)
    wait_until(lambda: bool(door.app.ends))
    assert (door.app.ends[0].code, door.app.ends[0].reason, door.app.ends[0].by) == (code, reason, "upstream")


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "leaving"), (3000, ""), (4999, "bye")])
def test_the_close_code_of_the_client_reaches_the_upstream(
    door: Door, upstream: RecordingUpstream, code: int, reason: str
) -> None:
    with dial(door) as client:
        client.send("last words")
        client.close(code, reason)
    opened = the_socket(upstream)
    assert opened.wait_closed() == code
    assert opened.close_reason == reason
    assert [message.text for message in opened.messages] == ["last words"]


def test_a_lost_upstream_connection_closes_the_client_with_1013(door: Door, upstream: RecordingUpstream) -> None:
    with dial(door) as client:
        the_socket(upstream).abort()
        assert closing(client, seconds=2) == (1013, "upstream closed")


def test_a_lost_client_connection_closes_the_upstream(door: Door, upstream: RecordingUpstream) -> None:
    client, _ = raw_socket(door)
    opened = the_socket(upstream)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert opened.wait_closed(2) is not None
    wait_until(lambda: upstream.connections_open == 0, seconds=3)


def test_an_upstream_that_never_answers_a_close_does_not_keep_the_socket_open(
    door: Door, upstream: RecordingUpstream
) -> None:
    with dial(door) as client:
        opened = the_socket(upstream)
        opened.pause_reading()
        client.close(1000)
    wait_until(lambda: len(door.app.ends) == 1, seconds=4)


@pytest.mark.parametrize("status", [401, 403, 404, 426, 500, 503])
def test_the_refusal_of_the_upstream_is_the_answer_to_the_handshake(
    door: Door, upstream: RecordingUpstream, status: int
) -> None:
    steering = b"X-Accel-Redirect: /x\r\nSet-Cookie: a=1\r\n"
    raw = b"HTTP/1.1 %d No\r\nContent-Type: text/plain\r\n" + steering + b"Content-Length: 4\r\n\r\nnope"
    upstream.respond("/s", raw=raw % status)
    assert refusal(door) == (status, b"nope")
    client, answer = raw_socket(door)
    client.close()
    assert b"x-accel" not in answer.lower()
    assert b"set-cookie" not in answer.lower()
    wait_until(lambda: len(door.app.ends) == 2)
    assert door.app.ends[0].status == status


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        SWITCHING + b"Upgrade: websocket\r\n\r\nraw tunnel",
        SWITCHING + b"Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        SWITCHING + b"Upgrade: h2c\r\n\r\n",
        b"garbage\r\n\r\n",
        b"",
    ],
)
def test_ws_7_a_wrong_handshake_answer_gives_502_and_opens_no_tunnel(
    door: Door, upstream: RecordingUpstream, raw: bytes
) -> None:
    upstream.respond("/s", raw=raw, close=True)
    status, body = refusal(door)
    assert status == 502
    assert body in (b"upstream_protocol", b"upstream_closed")


def test_a_subprotocol_that_the_client_did_not_offer_gives_502(door: Door, upstream: RecordingUpstream) -> None:
    upstream.websocket("/s", subprotocol="other")
    assert refusal(door)[0] == 502


def test_an_upstream_that_is_down_or_silent_gives_an_error_to_the_handshake(upstream: RecordingUpstream) -> None:
    upstream.websocket("/s", delay=10)
    with open_door(upstream.url, timeouts={"connect_timeout": 0.3}) as door:
        assert refusal(door) == (504, b"upstream_timeout")
        upstream.stop()
        assert refusal(door) == (502, b"upstream_connect")


def test_messages_of_50_megabytes_are_passed_on_both_ways(door: Door, upstream: RecordingUpstream) -> None:
    size = 50 * MIB
    upstream.websocket("/s", echo=False)
    with dial(door) as client:
        opened = the_socket(upstream)
        sent = os.urandom(MIB) * 50
        client.send(sent)
        wait_until(lambda: bool(opened.messages), seconds=20)
        assert (opened.messages[0].size, opened.messages[0].sha256) == (size, hashlib.sha256(sent).hexdigest())
        opened.send_size(size)
        received = client.recv(timeout=20)
        assert isinstance(received, bytes)
        assert hashlib.sha256(received).hexdigest() == pattern_sha256(size)


def test_a_fragmented_message_arrives_as_one_message(door: Door, upstream: RecordingUpstream) -> None:
    with dial(door) as client:
        client.send([b"one", b"two", b"three"])
        assert client.recv(timeout=5) == b"onetwothree"
        the_socket(upstream).send_size(100_000, frame_size=1000)
        assert len(client.recv(timeout=5)) == 100_000


@pytest.mark.parametrize(
    "message", [b"x" * 1001, "x" * 1001, "ü" * 501], ids=["bytes", "text", "text of two bytes each"]
)
def test_ws_7_a_message_of_the_client_over_the_limit_closes_both_with_1009(
    upstream: RecordingUpstream, message: bytes | str
) -> None:
    with open_door(upstream.url, max_client_message=1000) as door, dial(door) as client:
        client.send("ü" * 500)
        assert client.recv(timeout=5) == "ü" * 500
        client.send(message)
        assert closing(client)[0] == 1009
        assert the_socket(upstream).wait_closed() == 1009
        assert len(the_socket(upstream).messages) == 1


def test_ws_7_a_message_of_the_upstream_over_the_limit_closes_both_with_1009(upstream: RecordingUpstream) -> None:
    upstream.websocket("/s", echo=False)
    with open_door(upstream.url, max_upstream_message=1000) as door, dial(door) as client:
        opened = the_socket(upstream)
        opened.send(b"x" * 1000)
        opened.send(b"x" * 1001)
        assert client.recv(timeout=5) == b"x" * 1000
        assert closing(client)[0] == 1009
        assert opened.wait_closed() == 1009


def test_invalid_frames_of_the_upstream_close_the_client(door: Door, upstream: RecordingUpstream) -> None:
    with dial(door) as client:
        the_socket(upstream).write_raw(b"\xff\xff\xff\xff")
        assert closing(client)[0] == 1013


def test_pings_of_the_upstream_are_answered_by_the_gateway(door: Door, upstream: RecordingUpstream) -> None:
    with dial(door):
        opened = the_socket(upstream)
        opened.ping(b"are you there")
        wait_until(lambda: opened.pongs == [b"are you there"])


def test_ws_7_an_upstream_that_does_not_read_slows_the_client_down(door: Door, upstream: RecordingUpstream) -> None:
    client, _ = raw_socket(door)
    opened = the_socket(upstream)
    opened.pause_reading()
    frame = struct.pack("!BBQ", 0x82, 0xFF, 262_144) + bytes(4) + bytes(262_144)
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.sendall(frame * 200)
    client.close()


def test_a_websocket_upstream_at_a_unix_socket_answers(tmp_path: Path) -> None:
    with (
        RecordingUpstream(unix=tmp_path / "app.sock") as upstream,
        open_door(upstream.url) as door,
        dial(door) as client,
    ):
        client.send("x")
        assert client.recv(timeout=5) == "x"


def test_a_websocket_upstream_with_tls_is_used_when_its_certificate_is_known(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    with RecordingUpstream(tls=(certificate, key)) as upstream:
        target = f"https://localhost:{upstream.port}"
        with open_door(target, ssl_context=client_tls(str(certificate))) as door, dial(door) as client:
            client.send("x")
            assert client.recv(timeout=5) == "x"
        with open_door(target, ssl_context=client_tls()) as door:
            assert refusal(door) == (502, b"upstream_connect")


def test_many_closed_sockets_leave_no_tasks_or_connections(door: Door, upstream: RecordingUpstream) -> None:
    for _ in range(30):
        with dial(door) as client:
            client.send("x")
            client.recv(timeout=5)
    wait_until(lambda: len(door.app.ends) == 30 and upstream.connections_open == 0)
    assert {end.by for end in door.app.ends} == {"client"}
