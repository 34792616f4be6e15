"""Uvicorn in this process ends as soon as it is told to.

It looks ten times a second whether to end, then waits a tenth of a second for its connections: 0.17 s for each of the
thousand servers of a run. Here it looks a hundred times a second; what it does when it ends is the same.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn.server

LONGEST_SLEEP_SECONDS = 0.01


class _ShortSleeps:
    """The module `asyncio`, whose `sleep` is short."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, LONGEST_SLEEP_SECONDS))


def end_promptly() -> None:
    """For all servers of this process. Programs that tests start are not changed."""
    setattr(uvicorn.server, "asyncio", _ShortSleeps())  # noqa: B010  # mypy refuses the plain assignment
