"""What an upstream sent before it reset its connection.

An upstream that refuses a body may answer and then close. When our next write fails before that answer was read, the
event loop gives the connection up. What the kernel has received can still be read.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

PIECE: Final = 65_536


def last_bytes(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """Read what the kernel still holds for a connection that the event loop has given up. Nothing here waits."""
    ended = transport.get_extra_info("socket")
    if ended is None:
        return
    with suppress(OSError), socket.socket(fileno=os.dup(ended.fileno())) as left:
        left.setblocking(False)
        while data := left.recv(PIECE):
            yield data
