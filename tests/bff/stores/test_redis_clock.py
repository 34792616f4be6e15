"""The store's time, computed from its last answer: never ahead of the store, never going back, seldom asked for."""

from __future__ import annotations

import pytest

from bff.errors import StoreUnavailable
from bff.stores.redis_clock import FRESH_SECONDS, StoreClock


class World:
    """A monotonic clock here, the clock of a store, and `travel` seconds for an answer in each direction."""

    def __init__(self) -> None:
        self.here = 100.0
        self.store_is_ahead_by = 1_800_000_000.0
        self.travel = 0.0
        self.is_down = False
        self.questions = 0

    @property
    def there(self) -> float:
        return self.here + self.store_is_ahead_by

    async def ask(self) -> float:
        self.questions += 1
        if self.is_down:
            raise StoreUnavailable()
        self.here += self.travel
        answer = self.there
        self.here += self.travel
        return answer

    def clock(self) -> StoreClock:
        return StoreClock(self.ask, monotonic=lambda: self.here)


async def test_one_answer_of_the_store_is_used_for_two_seconds() -> None:
    world = World()
    clock = world.clock()
    for _ in range(10):
        assert await clock.now() == world.there
        world.here += FRESH_SECONDS / 11
    assert world.questions == 1
    world.here += FRESH_SECONDS
    assert await clock.now() == world.there
    assert world.questions == 2


async def test_a_slow_answer_makes_the_clock_late_and_never_early() -> None:
    world = World()
    world.travel = 0.4
    assert await world.clock().now() == pytest.approx(world.there - 0.4)


async def test_the_clock_does_not_go_back_when_an_answer_is_slower_than_the_last() -> None:
    world = World()
    clock = world.clock()
    before = await clock.now()
    world.here += FRESH_SECONDS
    world.store_is_ahead_by -= FRESH_SECONDS + 1
    assert await clock.now() == before


async def test_the_clock_follows_a_store_with_a_different_clock() -> None:
    world = World()
    clock = world.clock()
    await clock.now()
    world.here += FRESH_SECONDS
    world.store_is_ahead_by -= 3600
    assert await clock.now() == world.there


async def test_a_time_read_after_a_barrier_is_later_than_the_barrier() -> None:
    world = World()
    clock = world.clock()
    at = await clock.now() + 0.01
    clock.has_passed(at)
    assert await clock.now() > at


async def test_without_an_answer_of_the_store_the_time_is_unknown() -> None:
    world = World()
    clock = world.clock()
    await clock.now()
    world.is_down = True
    world.here += FRESH_SECONDS
    with pytest.raises(StoreUnavailable):
        await clock.now()
