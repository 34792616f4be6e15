"""Whether an upstream of several is worth a dial. Only real requests find out; nothing is sent just to look.

An upstream that could not be dialled rests, at first for a second, then twice as long each time. When the time is over,
one request tries it again. A dial, or an answer, brings it back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bff.audit import Audit
from gateway.upstream.dial import DialFailed

FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 30.0


class Health:
    """What this process knows of one upstream. `probe_seconds` is how long a dial may take."""

    __slots__ = (
        "_audit",
        "_chance",
        "_down_at",
        "_failures",
        "_is_probed",
        "_monotonic",
        "_name",
        "_probe",
        "_rests_until",
        "_route",
    )

    def __init__(
        self,
        name: str,
        *,
        route: str,
        audit: Audit,
        probe_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._route = route
        self._audit = audit
        self._probe = probe_seconds
        self._monotonic = monotonic
        self._chance = chance
        self._failures = 0
        self._down_at = 0.0
        self._rests_until = 0.0
        self._is_probed = False

    @property
    def is_down(self) -> bool:
        """True from a failed dial until the upstream can be dialled again."""
        return self._failures > 0

    def may_be_tried(self) -> bool:
        """True if a request may go there now. If it is down, the caller is the one request that looks again."""
        if not self._failures:
            return True
        now = self._monotonic()
        if now < self._rests_until:
            return False
        self._rests_until = now + self._probe
        self._is_probed = True
        return True

    def note_failure(self, failure: DialFailed) -> None:
        """Note a failed dial. Of many that fail at the same time, one counts."""
        now = self._monotonic()
        if now < self._rests_until and not self._is_probed:
            return
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._is_probed = False
        self._rests_until = now + longest * (0.5 + self._chance() / 2)  # so that not all processes ask at once
        if self._failures == 1:
            self._down_at = now
            self._audit.event(
                "upstream_down", reason=failure.code, route=self._route, detail=f"{self._name}: {failure.detail}"
            )

    def note_success(self) -> None:
        """Note that the upstream could be dialled, or has answered."""
        if not self._failures:
            return
        self._failures = 0
        self._is_probed = False
        self._rests_until = 0.0
        seconds = round(self._monotonic() - self._down_at, 1)
        self._audit.event("upstream_back", route=self._route, detail=f"{self._name}: after {seconds} s")


@contextmanager
def noting(health: Health | None) -> Iterator[None]:
    """Tell `health`, if there is one, how the dial in this block went."""
    try:
        yield
    except DialFailed as failure:
        if health is not None:
            health.note_failure(failure)
        raise
    if health is not None:
        health.note_success()
