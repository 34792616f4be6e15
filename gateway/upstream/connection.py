"""One connection to an upstream: HTTP/1.1, one exchange at a time, with back-pressure in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from bff.errors import AuthError, UpstreamFailed
from gateway.upstream.last_bytes import last_bytes
from gateway.upstream.response_parser import ResponseHead, ResponseParser

HIGH_WATER: Final = 262_144
"""At this many bytes of unread response the connection stops reading the socket, until the bytes are taken."""


class UpstreamConnection(asyncio.Protocol):
    """One connection: send a request, await `head()`, then `read()` until it returns `b""`. Time-outs are in seconds.

    The wait for the upstream has limits: `first_byte` from the end of the request to the response head, `idle` between
    two pieces. Time that a slow consumer takes does not count.
    """

    __slots__ = (
        "_deadline",
        "_drained",
        "_error",
        "_first_byte",
        "_idle",
        "_is_request_sent",
        "_is_write_paused",
        "_loop",
        "_on_lost",
        "_parser",
        "_reading_paused",
        "_timer",
        "_transport",
        "_waiter",
        "exchanges",
        "idle_since",
        "is_lost",
    )

    def __init__(
        self, on_lost: Callable[[UpstreamConnection], None], *, first_byte_timeout: float, idle_timeout: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = ResponseParser()
        self._on_lost = on_lost
        self._first_byte = first_byte_timeout
        self._idle = idle_timeout
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: float | None = None
        self._error: AuthError | None = None
        self._is_write_paused = False
        self._is_request_sent = False
        self._reading_paused = False
        self.exchanges = 0
        self.idle_since = 0.0
        self.is_lost = False

    @property
    def is_closing(self) -> bool:
        return self.is_lost or self._transport.is_closing()

    @property
    def is_reusable(self) -> bool:
        """True when the exchange ended cleanly on both sides and the upstream keeps the connection."""
        whole = self._parser.is_complete and self._is_request_sent and self._error is None
        return whole and self._parser.is_reusable and not self.is_closing

    @property
    def is_untouched(self) -> bool:
        """True when no byte of the current response has arrived."""
        return self._parser.received == 0

    @property
    def is_finished(self) -> bool:
        """True when the response is complete and all of it was read."""
        return self._parser.is_complete and self._parser.buffered == 0 and self._error is None

    # One exchange.

    def start(self, method: str, head: bytes, *, has_body: bool) -> None:
        """Write a request head and expect its response."""
        self.exchanges += 1
        self._is_request_sent = not has_body
        self._parser.begin(method)
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Write a piece of the request body, and return when there is room for the next one.

        Raises:
            UpstreamFailed: the connection is gone, or the upstream has read nothing for the idle time.
        """
        if self.is_closing:
            raise UpstreamFailed("upstream_closed", detail="closed while the request was being sent")
        self._transport.write(data)
        if not self._is_write_paused:
            return
        self._drained = self._loop.create_future()
        try:
            async with asyncio.timeout(self._idle):
                await self._drained
        except TimeoutError:
            raise _timed_out("the request body is not being read") from None
        finally:
            self._drained = None

    def finish_request(self) -> None:
        """Note that the request is complete. From now on the upstream has `first_byte_timeout` for its response
        head."""
        self._is_request_sent = True
        if self._waiter is not None and self._parser.head is None:
            self._arm(self._first_byte)

    async def head(self) -> ResponseHead:
        """Wait for status and headers.

        Raises:
            AuthError: `UpstreamFailed`, or the error with which the connection was aborted.
        """
        while (head := self._parser.head) is None:
            self._raise_error()
            await self._wait(self._first_byte if self._is_request_sent else None)
        return head

    async def read(self) -> bytes:
        """Return what has arrived of the body, and wait if nothing has; `b""` at the end.

        Raises:
            AuthError: as `head`, but only after everything that came before the failure was returned.
        """
        while not self._parser.buffered and not self._parser.is_complete:
            self._raise_error()
            await self._wait(self._idle)
        data = self._parser.take()
        if self._reading_paused:
            self._reading_paused = False
            if not self.is_closing:
                self._transport.resume_reading()
        return data

    def abort(self, error: AuthError | None = None) -> None:
        """End the connection at once. Every caller that waits on it gets `error`."""
        self._error = self._error or error or UpstreamFailed("upstream_closed", detail="aborted")
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._parser.is_expecting:
            # No request is waiting: late bytes must not become the answer to the next request.
            self._transport.abort()
            return
        try:
            self._parser.feed(data)
        except UpstreamFailed as exc:
            self.abort(exc)
            return
        if self._parser.buffered > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._parser.is_expecting and self._error is None:
            try:
                if exc is not None and not self._is_answered_after_all():
                    raise UpstreamFailed("upstream_closed", detail=type(exc).__name__)
                self._parser.finish()
            except UpstreamFailed as failure:
                self._error = failure
        self._disarm()
        self._wake()
        self.resume_writing()
        self._on_lost(self)

    def _is_answered_after_all(self) -> bool:
        """Read what the upstream sent before it reset the connection. Return True when the answer is then complete.

        Under TLS the layer below has read it already.

        Raises:
            UpstreamFailed: `upstream_protocol`.
        """
        if self._transport.get_extra_info("ssl_object") is None:
            for data in last_bytes(self._transport):
                self._parser.feed(data)
                if self._parser.is_complete or self._parser.buffered > HIGH_WATER:
                    break
        return self._parser.is_complete

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # Waiting. There is one lazy timer per connection: a request that is answered in time sets a variable and no timer.

    async def _wait(self, seconds: float | None) -> None:
        self._waiter = self._loop.create_future()
        if seconds is not None:
            self._arm(seconds)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._deadline = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _arm(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._disarm()
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_timer)
            return
        self.abort(_timed_out(self._late_head() if self._parser.head is None else self._stalled_body()))

    def _late_head(self) -> str:
        limit = "timeouts.first_byte of the route (vestibule dev: --api-timeout)"
        return f"no response head within {self._first_byte:g} s; {limit} sets the limit"

    def _stalled_body(self) -> str:
        return f"the response body stalled for {self._idle:g} s; timeouts.idle of the route sets the limit"


def _timed_out(detail: str) -> UpstreamFailed:
    return UpstreamFailed("upstream_timeout", detail=detail, status=504)
