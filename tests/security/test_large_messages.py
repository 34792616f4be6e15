"""DS-5: a larger WebSocket message does not keep the worker busy for longer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.security.house import House
from tests.security.raw import handshake, open_websocket

STREAM = "/_stcore/stream"
LONGEST_PAUSE = {8_000_000: 1.5, 64_000_000: 6.0}
"""Seconds for each size. If Python looked at every byte, a quiet machine would take 2 and 16 seconds."""


@contextmanager
def asking(house: House, cookie: str) -> Iterator[list[float]]:
    """Ask for a page again and again on another connection; how long each answer took."""
    took: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            started = time.monotonic()
            assert house.get_raw("/page", cookie=cookie).status == 200
            took.append(time.monotonic() - started)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield took
    finally:
        is_over.set()
        asker.join(60)


def send_masked(client: socket.socket, payload: bytes, *, frame_bytes: int) -> None:
    """Send a binary message in frames of `frame_bytes`. The mask is zero, so the payload is on the wire as it is."""
    pieces = [payload[at : at + frame_bytes] for at in range(0, len(payload), frame_bytes)]
    for number, piece in enumerate(pieces):
        first = (0x80 if number == len(pieces) - 1 else 0) | (0 if number else 2)
        client.sendall(bytes([first, 0xFF]) + len(piece).to_bytes(8, "big") + bytes(4) + piece)


@pytest.mark.parametrize("size", LONGEST_PAUSE, ids=["8 MB", "64 MB"])
@pytest.mark.parametrize("kind", ["zeros", "one field again and again", "random bytes", "many frames"])
def test_ds_5_a_large_message_does_not_delay_other_requests(house: House, cookie: str, size: int, kind: str) -> None:
    payload = {"one field again and again": b"\x08\x01" * (size // 2), "random bytes": os.urandom(size)}.get(
        kind, bytes(size)
    )
    answer, client = open_websocket(house.door.port, handshake(STREAM, house.host, cookie=cookie), timeout=60)
    assert answer.status == 101
    with asking(house, cookie) as took:
        send_masked(client, payload, frame_bytes=65_536 if kind == "many frames" else size)
        deadline = time.monotonic() + 60
        while not any(message.size == size for message in house.upstream.websockets[-1].messages):
            assert time.monotonic() < deadline, "the message did not arrive"
            time.sleep(0.02)
        assert client.recv(2)  # the echo begins
    client.close()
    assert len(took) > 2
    assert max(took) < LONGEST_PAUSE[size]
