"""The client's half of an HTTP exchange as ASGI gives it: the body with a limit, and whether the client is still
there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.types import Receive, Scope

from bff.errors import BadRequest
from gateway.headers.request import header_value


def body_length(scope: Scope, max_body_bytes: int) -> tuple[bool, int | None]:
    """Return whether a request has a body, and its Content-Length if the client sent one. A limit of 0 means no limit.

    Raises:
        BadRequest: `body_too_large` (413) before anything is read; `bad_request` for a length that is not a number.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    announced = header_value(headers, b"content-length")
    if header_value(headers, b"transfer-encoding") is not None:
        return True, None
    if announced is None:
        return False, None
    if not announced.isdigit():
        raise BadRequest(detail="Content-Length")
    length = int(announced)
    if max_body_bytes and length > max_body_bytes:
        raise too_large()
    return length > 0, length


def too_large() -> BadRequest:
    return BadRequest("body_too_large", "This is larger than what is accepted here.", status=413)


class ClientBody:
    """Iterate over the request body as it arrives. `on_gone` is called when the client leaves before the end.

    Raises:
        BadRequest: while iterating: `body_too_large` (413), also for chunked bodies; `body_timeout` (408) when nothing
            comes for `idle_timeout` seconds; `client_gone` (400).
    """

    def __init__(
        self, receive: Receive, *, max_body_bytes: int, idle_timeout: float, on_gone: Callable[[], None]
    ) -> None:
        self._receive = receive
        self._max = max_body_bytes
        self._idle = idle_timeout
        self._on_gone = on_gone
        self._is_read = asyncio.Event()
        self.received = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            try:
                async with asyncio.timeout(self._idle):
                    message = await self._receive()
            except TimeoutError:
                raise BadRequest("body_timeout", "The request took too long to arrive.", status=408) from None
            if message["type"] == "http.disconnect":
                self._on_gone()
                raise BadRequest("client_gone")
            data: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            self.received += len(data)
            if self._max and self.received > self._max:
                raise too_large()
            if data:
                yield data
        self._is_read.set()

    async def watch(self, *, has_body: bool) -> None:
        """Wait until the client leaves. Start this after the body: only one reader may receive at a time."""
        if has_body:
            await self._is_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._on_gone()
