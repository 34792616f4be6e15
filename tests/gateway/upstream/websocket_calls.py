"""Sockets through the gateway as a client opens them."""

from __future__ import annotations

import base64
import os
import socket
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.fakes.upstream import RecordingUpstream
from tests.fakes.upstream_websocket import UpstreamWebSocket
from tests.gateway.upstream.door import Door, wait_until

MIB = 1024 * 1024
HANDSHAKE = (
    b"GET /s?x=1 HTTP/1.1\r\nHost: apps.example.com\r\nOrigin: https://apps.example.com\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
)


def dial(door: Door, path: str = "/s", **options: Any) -> ClientConnection:
    client: ClientConnection = connect(
        door.ws_url + path, proxy=None, compression=None, max_size=None, close_timeout=2, **options
    )
    return client


def the_socket(upstream: RecordingUpstream) -> UpstreamWebSocket:
    wait_until(lambda: bool(upstream.websockets))
    return upstream.websockets[-1]


def raw_socket(door: Door, extra: bytes = b"", *, receive_buffer: int = 0) -> tuple[socket.socket, bytes]:
    """A client below WebSocket: the connection after its handshake, and the answer's head."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(10)
    client.connect(("127.0.0.1", door.port))
    client.sendall(HANDSHAKE % base64.b64encode(os.urandom(16)) + extra + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    return client, answer


def closing(client: ClientConnection, *, seconds: float = 5) -> tuple[int, str]:
    """Code and reason that the other side closes with."""
    try:
        while True:
            client.recv(timeout=seconds)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (1006, "")
