"""The transport of a client connection, whose close lets the client read its answer.

A socket that is closed with unread bytes in it is reset, and a reset takes the answer out of the client's hands
(RFC 9112 section 9.6). So the end has three steps: say that nothing more will come, throw away a little of what the
client still sends, close. What is thrown away is never parsed.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import sys
import termios
from collections.abc import Callable

LINGER_SECONDS = 2.0
LINGER_BYTES = 1_048_576
"""So much is thrown away; what comes after it stays in the kernel, which stops the client, until the time is over."""
STALL_SECONDS = 30.0
"""A client that acknowledges nothing of the rest of its answer for so long is gone or hostile."""


class GentleTransport:
    """`close` ends the connection as above; everything else is the inner transport's. `on_end` is called first."""

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
            # TLS: flushes, sends close_notify and throws away what comes, by itself and without a bound.
            self._inner.close()
        self._timer = self._loop.call_later(LINGER_SECONDS, self._check, sys.maxsize, 0.0)

    def discard(self, received: int) -> None:
        """Count bytes that nobody will parse; after `LINGER_BYTES` no more are read."""
        self._discarded += received
        if self._discarded > LINGER_BYTES:
            self._inner.pause_reading()

    def forget(self) -> None:
        """The connection is gone: stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, unsent_before: int, stalled: float) -> None:
        """Close, unless the client is still taking its answer."""
        unsent = self._unsent()
        stalled = 0.0 if unsent < unsent_before else stalled + LINGER_SECONDS
        if unsent and stalled < STALL_SECONDS:
            self._timer = self._loop.call_later(LINGER_SECONDS, self._check, unsent, stalled)
        else:
            self._inner.abort()

    def _unsent(self) -> int:
        """Bytes that are on their way to the client, in this process and in the kernel, where the kernel tells."""
        descriptor: int = self._inner.get_extra_info("socket").fileno()
        try:
            (in_kernel,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError):
            in_kernel = 0
        return self._inner.get_write_buffer_size() + int(in_kernel)
