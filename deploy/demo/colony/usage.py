"""How often each person called each endpoint, since this process started. Thread-safe, bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls of one person to one endpoint. `person` is unique, `name` is for display. Times are Unix seconds."""

    person: str
    name: str
    endpoint: str
    calls: int
    last_called_at: float


class UsageLedger:
    """Counts calls. Beyond `capacity` pairs of person and endpoint, the pair with the oldest call is forgotten."""

    def __init__(self, capacity: int = 1000, *, clock: Callable[[], float] = time.time) -> None:
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._usage: OrderedDict[tuple[str, str], Usage] = OrderedDict()
        self.since = clock()

    def record(self, person: str, endpoint: str, *, name: str) -> None:
        with self._lock:
            before = self._usage.pop((person, endpoint), None)
            calls = (before.calls if before else 0) + 1
            self._usage[person, endpoint] = Usage(person, name, endpoint, calls, self._clock())
            if len(self._usage) > self._capacity:
                self._usage.popitem(last=False)

    def entries(self) -> list[Usage]:
        """Return the entries, most calls first."""
        with self._lock:
            entries = list(self._usage.values())
        return sorted(entries, key=lambda usage: (-usage.calls, usage.name, usage.endpoint))
