"""A clock that moves only when told to."""

from __future__ import annotations


class FakeClock:
    """A clock in Unix seconds. Pass it where a `clock` is taken, as in `JWTBearer(…, clock=fake_clock)`."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
