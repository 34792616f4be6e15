"""A clock that moves only when told to."""

from __future__ import annotations

import threading


class FakeClock:
    """Return Unix seconds; pass the instance wherever ``time.time`` would go."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = float(start)
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> float:
        """Move forward (or back, with a negative number) and return the new time."""
        with self._lock:
            self._now += seconds
            return self._now

    def set(self, now: float) -> None:
        with self._lock:
            self._now = float(now)
