"""A handle with which other code ends a WebSocket that is being relayed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CloseOrder:
    code: int
    reason: str


class SocketCloser:
    """Ends one relayed socket from elsewhere in the same event loop. The first call counts, even before the relay
    starts.

    ::

        closer = SocketCloser()
        registry.add(session_id, closer)
        await relay_websocket(..., closer=closer)   # elsewhere: closer.close(4401, "logout")
    """

    __slots__ = ("_called", "_order")

    def __init__(self) -> None:
        self._called = asyncio.Event()
        self._order: CloseOrder | None = None

    @property
    def is_closing(self) -> bool:
        return self._order is not None

    def close(self, code: int, reason: str = "") -> None:
        """Send the browser a close frame (`reason` has at most 123 bytes) and drop the upstream. Return at once."""
        if self._order is None:
            self._order = CloseOrder(code, reason)
            self._called.set()

    async def wait(self) -> CloseOrder:
        """Wait until `close` is called."""
        await self._called.wait()
        if self._order is None:
            raise RuntimeError("woken without an order")
        return self._order
