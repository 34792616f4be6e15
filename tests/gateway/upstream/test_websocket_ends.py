"""The end of a session closes the WebSocket on both sides, even when one side does not read."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
import time

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.door import Door, open_door, wait_until
from tests.gateway.upstream.websocket_calls import HANDSHAKE, MIB, closing, dial, raw_socket, the_socket


def test_the_end_of_the_session_closes_the_socket_at_once_with_its_close_code(
    door: Door, upstream: RecordingUpstream
) -> None:
    with dial(door) as client:
        opened = the_socket(upstream)
        began = time.monotonic()
        door.app.close_sockets(4401, "logout")
        assert closing(client) == (4401, "logout")
        assert opened.wait_closed() == 1001
        assert time.monotonic() - began < 10
    wait_until(lambda: bool(door.app.ends))
    assert (door.app.ends[0].code, door.app.ends[0].by) == (4401, "gateway")


def test_the_close_code_of_the_first_close_is_used(door: Door, upstream: RecordingUpstream) -> None:
    with dial(door) as client:
        the_socket(upstream)
        door.app.close_sockets(4403, "forbidden")
        door.app.close_sockets(4401, "logout")
        assert closing(client) == (4403, "forbidden")


def test_the_end_of_the_session_during_the_handshake_refuses_the_socket(
    door: Door, upstream: RecordingUpstream
) -> None:
    upstream.websocket("/s", delay=10)
    began = time.monotonic()
    client = socket.create_connection(("127.0.0.1", door.port), timeout=5)
    client.sendall(HANDSHAKE % base64.b64encode(os.urandom(16)) + b"\r\n")
    wait_until(lambda: bool(door.app.closers))
    door.app.close_sockets(4401, "logout")
    assert client.recv(1000).startswith(b"HTTP/1.1 403")
    assert time.monotonic() - began < 8
    client.close()
    wait_until(lambda: upstream.connections_open == 0)


def test_ws_7_a_client_that_does_not_read_slows_the_upstream_down(door: Door, upstream: RecordingUpstream) -> None:
    upstream.websocket("/s", echo=False)
    client, _ = raw_socket(door, receive_buffer=65_536)
    opened = the_socket(upstream)
    sent = 0
    future = None
    while future is None or future.done():
        future = asyncio.run_coroutine_threadsafe(opened._send(b"x" * 262_144), opened._thread.loop)
        deadline = time.monotonic() + 0.5
        while not future.done() and time.monotonic() < deadline:
            time.sleep(0.005)
        sent += 262_144
        assert sent < 64 * MIB, "nobody held the upstream back"
    received = b""
    while len(received) < sent:
        received += client.recv(MIB)
    wait_until(future.done)
    client.close()


@pytest.mark.parametrize("told", [False, True])
def test_the_end_of_the_session_closes_the_upstream_even_when_the_client_does_not_read(
    upstream: RecordingUpstream, *, told: bool
) -> None:
    upstream.websocket("/s", echo=False)
    with open_door(upstream.url, ws=None if told else WebSocketsSansIOProtocol) as door:
        client, _ = raw_socket(door, receive_buffer=65_536)
        opened = the_socket(upstream)
        for _ in range(48):
            asyncio.run_coroutine_threadsafe(opened._send(b"x" * 262_144), opened._thread.loop)
        time.sleep(0.5)
        door.app.close_sockets(4401, "logout")
        opened.wait_closed(20)
        wait_until(lambda: bool(door.app.ends))
        assert (door.app.ends[0].code, door.app.ends[0].by) == (4401, "gateway")
        tail = b""
        while chunk := client.recv(MIB):
            tail = (tail + chunk)[-100:]
        assert tail.endswith(struct.pack("!BBH", 0x88, 8, 4401) + b"logout") is told
        client.close()
