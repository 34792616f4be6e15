"""The desk is bounded in number and in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from colony.outbreak import Colony
from colony.simulation_desk import DeskFull, DeskLimits, Simulation, SimulationDesk, TooManySimulations

COLONY = Colony(
    nests_per_side=10,
    days=10,
    transmission=0.1,
    incubation_days=2.0,
    infectious_days=5.0,
    mortality=0.3,
    wandering=0.1,
    index_cases=1,
    runs=2,
    seed=1,
)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def open_desk(limits: DeskLimits, clock: Clock | None = None) -> Iterator[SimulationDesk]:
    desk = SimulationDesk(limits, clock=clock or Clock())
    try:
        yield desk
    finally:
        desk.close()


def finished(desk: SimulationDesk, simulation: Simulation) -> Simulation:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = desk.find(simulation.owner, simulation.id)
        assert found is not None
        if found.is_finished:
            return found
        time.sleep(0.01)
    raise AssertionError("not finished in time")


def test_a_finished_simulation_is_kept_for_the_configured_time_only() -> None:
    clock = Clock()
    with open_desk(DeskLimits(seconds=0, keep_seconds=60), clock) as desk:
        simulation = desk.start("alice", COLONY)
        finished(desk, simulation)
        clock.now += 59
        assert desk.find("alice", simulation.id) is not None
        clock.now += 2
        assert desk.find("alice", simulation.id) is None


def test_a_running_simulation_does_not_expire() -> None:
    clock = Clock()
    with open_desk(DeskLimits(seconds=600, keep_seconds=60), clock) as desk:
        simulation = desk.start("alice", COLONY)
        clock.now += 10_000
        assert desk.find("alice", simulation.id) is not None


def test_a_full_desk_drops_the_oldest_finished_simulation_first() -> None:
    clock = Clock()
    with open_desk(DeskLimits(seconds=0, kept=2), clock) as desk:
        first = desk.start("alice", COLONY)
        finished(desk, first)
        clock.now += 1
        second = desk.start("alice", COLONY)
        finished(desk, second)
        third = desk.start("bob", COLONY)
        finished(desk, third)
        assert desk.find("alice", first.id) is None
        assert desk.find("alice", second.id) is not None


def test_a_desk_full_of_running_simulations_accepts_no_more() -> None:
    with open_desk(DeskLimits(seconds=600, kept=2)) as desk:
        desk.start("alice", COLONY)
        desk.start("bob", COLONY)
        with pytest.raises(DeskFull):
            desk.start("carol", COLONY)


def test_waiting_simulations_count_for_the_limit_of_a_person_like_running_ones() -> None:
    with open_desk(DeskLimits(seconds=600, workers=1, unfinished_per_person=2)) as desk:
        desk.start("alice", COLONY)
        waiting = desk.start("alice", COLONY)
        assert waiting.progress == 0
        with pytest.raises(TooManySimulations):
            desk.start("alice", COLONY)
        assert desk.start("bob", COLONY).owner == "bob"


def test_a_finished_simulation_makes_room_for_the_next_one_of_the_person() -> None:
    with open_desk(DeskLimits(seconds=0, unfinished_per_person=1)) as desk:
        finished(desk, desk.start("alice", COLONY))
        assert finished(desk, desk.start("alice", COLONY)).outcome is not None


def test_the_simulation_of_another_person_is_not_found() -> None:
    with open_desk(DeskLimits(seconds=0)) as desk:
        simulation = desk.start("alice", COLONY)
        assert desk.find("bob", simulation.id) is None


def test_a_failing_model_ends_as_failed_and_makes_room_for_another() -> None:
    impossible = Colony(**{name: getattr(COLONY, name) for name in Colony.__slots__} | {"index_cases": 101})
    with open_desk(DeskLimits(seconds=0, unfinished_per_person=1)) as desk:
        ended = finished(desk, desk.start("alice", impossible))
        assert (ended.status, ended.outcome) == ("failed", None)
        desk.start("alice", COLONY)


def test_closing_cancels_running_simulations_without_waiting_for_their_end() -> None:
    desk = SimulationDesk(DeskLimits(seconds=600))
    simulation = desk.start("alice", COLONY)
    began = time.monotonic()
    desk.close()
    assert time.monotonic() - began < 60
    ended = desk.find("alice", simulation.id)
    assert ended is not None
    assert ended.status in {"failed", "queued"}
