"""The transport of a client connection that lets the client read its answer before it closes.

If a socket is closed while it holds unread bytes, it is reset, and a reset can destroy the answer before the client has
read it (RFC 9112 section 9.6). So the end has three steps: say that nothing more will come, discard a little of what
the client still sends, close. Discarded bytes are never parsed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress

LINGER_SECONDS = 2.0
LINGER_BYTES = 1_048_576
"""At most this much is discarded. Later bytes stay in the kernel, which makes the client wait, until the time is
over."""
STALL_SECONDS = 30.0
"""A client that acknowledges nothing of its answer for this long is gone or hostile."""


class GentleTransport:
    """A transport whose `close` ends the connection in these three steps. `on_end` is called first. All other methods
    belong to the inner transport."""

    __slots__ = ("_discarded", "_inner", "_loop", "_on_end", "_timer", "is_ending", "write")

    def __init__(
        self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop, *, on_end: Callable[[], None]
    ) -> None:
        self._inner = inner
        self._loop = loop
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        self._discarded = 0
        self.is_ending = False
        self.write = inner.write

    def is_closing(self) -> bool:
        return self.is_ending or self._inner.is_closing()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def abort(self) -> None:
        self._inner.abort()

    def close(self) -> None:
        if self.is_closing():
            return
        self.is_ending = True
        self._on_end()
        if self._discarded <= LINGER_BYTES:
            self._inner.resume_reading()
        if self._inner.can_write_eof():
            self._inner.write_eof()
        else:
            # TLS does this by itself and without a limit: it flushes, sends close_notify and discards what comes.
            self._inner.close()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._check, sys.maxsize, 0.0)

    def discard(self, received: int) -> None:
        """Count bytes that are not parsed. After `LINGER_BYTES` no more are read."""
        self._discarded += received
        if self._discarded > LINGER_BYTES:
            self._inner.pause_reading()

    def forget(self) -> None:
        """Stop the timer: the connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, unsent_before: int, stalled: float) -> None:
        """Close, unless the client is still reading its answer."""
        unsent = self._unsent()
        stalled = 0.0 if unsent < unsent_before else stalled + LINGER_SECONDS
        if unsent and stalled < STALL_SECONDS:
            self._timer = self._loop.call_later(LINGER_SECONDS, self._check, unsent, stalled)
        elif unsent:
            reset(self._inner)
        else:
            self._inner.abort()

    def _unsent(self) -> int:
        """Count the bytes on their way to the client: in this process, and in the kernel if it tells the number."""
        descriptor: int = self._inner.get_extra_info("socket").fileno()
        try:
            (in_kernel,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError):
            in_kernel = 0
        return self._inner.get_write_buffer_size() + int(in_kernel)


def reset(transport: asyncio.Transport) -> None:
    """End a connection in the middle of an answer, by a reset: a clean end could be taken for the end of the body."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
