"""The time of the Redis server, without a round trip for each question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

FRESH_SECONDS = 2.0
LARGEST_STEP_BACK = 5.0
"""Seconds.

If the server is further behind than this, another clock answers (a failover), and the answer is not just slow.
"""
LEAST_STEP = 1e-6


class StoreClock:
    """Seconds of the store, from its last answer and this process's monotonic clock.

    It is never ahead of the store: an answer counts as if it had been given when it arrived. So a login that began
    before a barrier never gets a time after it. It goes back only when the store's clock does.
    """

    def __init__(self, ask: Callable[[], Awaitable[float]], *, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._offset = 0.0
        self._fresh_until = -1.0
        self._latest = 0.0
        self._asking = asyncio.Lock()

    async def now(self) -> float:
        """Return the store's time. Raises `StoreUnavailable` if the last answer is old and no new one comes."""
        if self._monotonic() >= self._fresh_until:
            await self._refresh()
        self._latest = max(self._latest, self._monotonic() + self._offset)
        return self._latest

    def has_passed(self, at: float) -> None:
        """Note that the store's clock has reached `at`: every later answer is later than that."""
        self._latest = max(self._latest, at + LEAST_STEP)

    async def _refresh(self) -> None:
        async with self._asking:
            if self._monotonic() < self._fresh_until:
                return  # another caller has just asked
            answer = await self._ask()
            arrived = self._monotonic()
            self._offset = answer - arrived
            self._fresh_until = arrived + FRESH_SECONDS
            if answer < self._latest - LARGEST_STEP_BACK:
                self._latest = answer
