"""A model of an infection that spreads through a colony: a stochastic SEIR model on a square of nests, in many runs.

Every nest holds one bird: susceptible, exposed, infectious, recovered or dead. A bird meets its eight neighbours, and
now and then a bird from anywhere in the colony. The model knows nothing of threads, HTTP or people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

SUSCEPTIBLE, EXPOSED, INFECTIOUS, RECOVERED, DEAD = range(5)
NEVER: Final = -1
_NEIGHBOURS: Final = 8
_DIED_OUT_BELOW: Final = 0.01


@dataclass(frozen=True, slots=True)
class Colony:
    """What one simulation is asked to do. Durations in days; `transmission` per contact and day; shares from 0 to 1."""

    nests_per_side: int
    days: int
    transmission: float
    incubation_days: float
    infectious_days: float
    mortality: float
    wandering: float
    index_cases: int
    runs: int
    seed: int


@dataclass(frozen=True, slots=True)
class Spread:
    """5th percentile, median and 95th percentile over the runs."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Day:
    """Infectious birds on one day, over the runs."""

    day: int
    infectious: Spread


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result. `arrival_day` is a map of the median run: the day each nest fell ill, `NEVER` if it did not."""

    nests: int
    ever_infected_share: Spread
    deaths: Spread
    peak_day: Spread
    peak_infectious: Spread
    died_out_share: float
    arrival_day: tuple[tuple[int, ...], ...]


class Outbreak:
    """A running simulation: `step()` computes one day, `outcome()` sums up the days so far."""

    def __init__(self, colony: Colony) -> None:
        self._colony = colony
        self._random = np.random.default_rng(colony.seed)
        shape = (colony.runs, colony.nests_per_side, colony.nests_per_side)
        self._state = np.full(shape, SUSCEPTIBLE, dtype=np.int8)
        self._arrival = np.full(shape, NEVER, dtype=np.int16)
        self._infectious_by_day: list[npt.NDArray[np.int64]] = []
        self._seed_index_cases()

    def step(self) -> Day:
        day = len(self._infectious_by_day) + 1
        chance = self._random.random(self._state.shape)
        infected = (self._state == SUSCEPTIBLE) & (chance < self._infection_probability())
        ill = (self._state == EXPOSED) & (chance < _daily(self._colony.incubation_days))
        over = (self._state == INFECTIOUS) & (chance < _daily(self._colony.infectious_days))
        dies = over & (self._random.random(self._state.shape) < self._colony.mortality)
        self._state[infected] = EXPOSED
        self._state[ill] = INFECTIOUS
        self._state[over] = RECOVERED
        self._state[dies] = DEAD
        self._arrival[infected] = day
        infectious = (self._state == INFECTIOUS).sum(axis=(1, 2))
        self._infectious_by_day.append(infectious)
        return Day(day, _spread(infectious))

    def outcome(self) -> Outcome:
        nests = self._colony.nests_per_side**2
        shares = (self._arrival != NEVER).mean(axis=(1, 2))
        by_day = np.stack(self._infectious_by_day)
        typical = int(np.argsort(shares)[len(shares) // 2])
        return Outcome(
            nests=nests,
            ever_infected_share=_spread(shares),
            deaths=_spread((self._state == DEAD).sum(axis=(1, 2))),
            peak_day=_spread(by_day.argmax(axis=0) + 1),
            peak_infectious=_spread(by_day.max(axis=0)),
            died_out_share=float((shares < _DIED_OUT_BELOW).mean()),
            arrival_day=tuple(tuple(int(day) for day in row) for row in self._arrival[typical]),
        )

    def _seed_index_cases(self) -> None:
        side = self._colony.nests_per_side
        for run in range(self._colony.runs):
            nests = self._random.choice(side * side, size=self._colony.index_cases, replace=False)
            self._state[run].flat[nests] = INFECTIOUS
            self._arrival[run].flat[nests] = 0

    def _infection_probability(self) -> npt.NDArray[np.float64]:
        infectious = (self._state == INFECTIOUS).astype(np.float64)
        side = self._colony.nests_per_side
        padded = np.pad(infectious, ((0, 0), (1, 1), (1, 1)))
        near = -infectious
        for row in range(3):
            for column in range(3):
                near = near + padded[:, row : row + side, column : column + side]
        anywhere = _NEIGHBOURS * infectious.mean(axis=(1, 2), keepdims=True)
        wandering = self._colony.wandering
        contacts = (1.0 - wandering) * near + wandering * anywhere
        probability: npt.NDArray[np.float64] = 1.0 - np.exp(-self._colony.transmission * contacts)
        return probability


def _daily(mean_days: float) -> float:
    return float(1.0 - np.exp(-1.0 / mean_days))


def _spread(values: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> Spread:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return Spread(float(low), float(median), float(high))
