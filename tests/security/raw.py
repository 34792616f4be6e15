"""A client that sends exactly the given bytes. No HTTP library would let an attacker do this."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

SAME_ORIGIN = "Sec-Fetch-Site: same-origin"
SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
"""What must never be read as a request of its own."""


@dataclass(frozen=True)
class RawAnswer:
    """The first answer on a connection; `rest` is what came after it. `status` 0 means that there is none."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    received: bytes = field(default=b"", repr=False)

    @classmethod
    def parse(cls, received: bytes) -> RawAnswer:
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        if not lines[0].startswith("HTTP/1."):
            return cls(0, received=received)
        pairs = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:]))
        return cls(int(lines[0].split(" ")[1]), pairs, body, received)

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def header(self, name: str) -> str:
        return ", ".join(self.all(name))


def connect(port: int, *, timeout: float = 5) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def exchange(port: int, request: bytes, *pieces: bytes, timeout: float = 5, pause: float = 0.05) -> bytes:
    """Everything that comes back until the server ends the connection; `pieces` follow after a pause each."""
    with connect(port, timeout=timeout) as client:
        try:
            client.sendall(request)
            for piece in pieces:
                time.sleep(pause)
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was complete: the answer may still be there to read
        return read_all(client)


def storm(port: int, requests: Sequence[bytes]) -> list[RawAnswer]:
    """Send all requests at once, each on a connection of its own that it asks to be closed."""

    async def one(request: bytes) -> RawAnswer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return RawAnswer.parse(await reader.read())
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def all_at_once() -> list[RawAnswer]:
        return await asyncio.gather(*(one(request) for request in requests))

    return asyncio.run(all_at_once())


def read_all(client: socket.socket) -> bytes:
    """Bytes up to the end of the connection, or up to the socket's time-out."""
    received = b""
    try:
        while chunk := client.recv(65_536):
            received += chunk
    except (TimeoutError, ConnectionResetError, ssl.SSLEOFError):
        pass
    return received


def count_answers(received: bytes) -> int:
    return received.count(b"HTTP/1.1 ")


def handshake(
    path: str, host: str, *headers: str, origin: str | None = "", cookie: str = "", subprotocols: str = ""
) -> bytes:
    """A WebSocket handshake; `origin` "" is the host's own, None leaves the header out."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    if origin is not None:
        lines.append(f"Origin: {origin or 'http://' + host}")
    if cookie:
        lines.append(f"Cookie: vestibule={cookie}")
    if subprotocols:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocols}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def open_websocket(port: int, request: bytes, *, timeout: float = 5) -> tuple[RawAnswer, socket.socket]:
    """Send a handshake and read its answer up to the end of the headers; the socket stays open."""
    client = connect(port, timeout=timeout)
    client.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = client.recv(4096)
        if not chunk:
            break
        received += chunk
    return RawAnswer.parse(received), client


def websocket_status(port: int, request: bytes) -> int:
    """The status a handshake is answered with."""
    answer, client = open_websocket(port, request)
    client.close()
    return answer.status


def read_close(client: socket.socket) -> tuple[int, str]:
    """Code and reason of the close frame that comes next, other frames (unmasked, short) passed over.

    (1006, "") when the connection ends without one.
    """
    while True:
        head = _exactly(client, 2)
        if len(head) < 2:
            return 1006, ""
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(_exactly(client, 2), "big")
        payload = _exactly(client, size)
        if head[0] & 0x0F == 8:
            return int.from_bytes(payload[:2], "big"), payload[2:].decode()


def _exactly(client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = client.recv(size - len(received))
        if not chunk:
            break
        received += chunk
    return received
