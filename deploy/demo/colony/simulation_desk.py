"""Simulations in the background: who started which, how far it is, and its result. Their number and time are limited.

They are in the memory of one process. That is enough for a demo; a service with replicas would use a job queue.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum

from colony.outbreak import Colony, Day, Outbreak, Outcome

log = logging.getLogger(__name__)


class SimulationStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeskLimits:
    """A simulation takes at least `seconds`, even if it has few days. A finished one is kept for `keep_seconds`."""

    seconds: float = 20.0
    workers: int = 4
    unfinished_per_person: int = 2
    kept: int = 64
    keep_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class Simulation:
    """The present state of one simulation. Each change makes a new object."""

    id: str
    owner: str
    colony: Colony
    status: SimulationStatus = SimulationStatus.QUEUED
    days: tuple[Day, ...] = ()
    outcome: Outcome | None = None
    finished_at: float = field(default=0.0, compare=False)

    @property
    def is_finished(self) -> bool:
        return self.status in (SimulationStatus.DONE, SimulationStatus.FAILED)

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return len(self.days) / self.colony.days


class TooManySimulations(Exception):
    """This person already has as many unfinished simulations as one person may have."""


class DeskFull(Exception):
    """All places are taken by simulations that are still running."""


class SimulationDesk:
    """Starts simulations in threads and keeps them for the person who started them. Safe to use from any thread."""

    def __init__(self, limits: DeskLimits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or DeskLimits()
        self._clock = clock
        self._lock = threading.Lock()
        self._simulations: dict[str, Simulation] = {}
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(self._limits.workers, thread_name_prefix="simulation")

    def start(self, owner: str, colony: Colony) -> Simulation:
        """Queue a simulation and return at once.

        Raises: TooManySimulations, DeskFull.
        """
        simulation = Simulation(secrets.token_urlsafe(16), owner, colony)
        with self._lock:
            self._forget_expired()
            self._make_room_for(owner)
            self._simulations[simulation.id] = simulation
        self._workers.submit(self._run, simulation)
        return simulation

    def find(self, owner: str, simulation_id: str) -> Simulation | None:
        """Return the simulation; None if it was never started, has expired, or is somebody else's."""
        with self._lock:
            self._forget_expired()
            simulation = self._simulations.get(simulation_id)
        return simulation if simulation and simulation.owner == owner else None

    def close(self) -> None:
        """Stop the running simulations, each at the end of its simulated day, and end the threads."""
        self._closing.set()
        self._workers.shutdown(cancel_futures=True)

    def _run(self, simulation: Simulation) -> None:
        try:
            simulation = self._run_days(simulation)
        except Exception:
            log.exception("simulation failed")
            simulation = replace(simulation, status=SimulationStatus.FAILED)
        self._keep(replace(simulation, finished_at=self._clock()))

    def _run_days(self, simulation: Simulation) -> Simulation:
        outbreak = Outbreak(simulation.colony)
        seconds_per_day = self._limits.seconds / simulation.colony.days
        simulation = replace(simulation, status=SimulationStatus.RUNNING)
        for _ in range(simulation.colony.days):
            began = time.monotonic()
            simulation = replace(simulation, days=(*simulation.days, outbreak.step()))
            self._keep(simulation)
            # A larger model would compute in this time; see DeskLimits.seconds.
            if self._closing.wait(max(0.0, began + seconds_per_day - time.monotonic())):
                return replace(simulation, status=SimulationStatus.FAILED)
        return replace(simulation, status=SimulationStatus.DONE, outcome=outbreak.outcome())

    def _keep(self, simulation: Simulation) -> None:
        with self._lock:
            if simulation.id in self._simulations:
                self._simulations[simulation.id] = simulation

    def _make_room_for(self, owner: str) -> None:
        kept = self._simulations.values()
        if sum(one.owner == owner and not one.is_finished for one in kept) >= self._limits.unfinished_per_person:
            raise TooManySimulations
        if len(kept) < self._limits.kept:
            return
        finished = [one for one in kept if one.is_finished]
        if not finished:
            raise DeskFull
        del self._simulations[min(finished, key=lambda one: one.finished_at).id]

    def _forget_expired(self) -> None:
        oldest = self._clock() - self._limits.keep_seconds
        expired = [one.id for one in self._simulations.values() if one.is_finished and one.finished_at < oldest]
        for simulation_id in expired:
            del self._simulations[simulation_id]
