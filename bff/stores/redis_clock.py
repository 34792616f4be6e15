"""The server's time without a round trip for each question."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

FRESH_SECONDS = 2.0
LARGEST_STEP_BACK = 5.0
"""Seconds. A server that is further behind than this is another clock (a failover), not a slower answer."""
LEAST_STEP = 1e-6


class StoreClock:
    """Seconds of the store, from its last answer and this process's monotonic clock.

    Never ahead of the store: an answer counts as if it had been given when it arrived. So a login that began before a
    barrier is never stamped as if it had begun after it. Never goes back, save when the store itself does.
    """

    def __init__(self, ask: Callable[[], Awaitable[float]], *, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._offset = 0.0
        self._fresh_until = -1.0
        self._latest = 0.0
        self._asking = asyncio.Lock()

    async def now(self) -> float:
        """Raises `StoreUnavailable` when the last answer is old and there is no new one."""
        if self._monotonic() >= self._fresh_until:
            await self._refresh()
        self._latest = max(self._latest, self._monotonic() + self._offset)
        return self._latest

    def has_passed(self, at: float) -> None:
        """Take in that the store has seen the time `at`: what is asked for from now on is later."""
        self._latest = max(self._latest, at + LEAST_STEP)

    async def _refresh(self) -> None:
        async with self._asking:
            if self._monotonic() < self._fresh_until:
                return  # somebody else has just asked
            answer = await self._ask()
            arrived = self._monotonic()
            self._offset = answer - arrived
            self._fresh_until = arrived + FRESH_SECONDS
            if answer < self._latest - LARGEST_STEP_BACK:
                self._latest = answer
