"""What the API accepts and returns, as Pydantic models. A value outside their bounds gets 422."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from colony.body_mass import Bird, Estimate
from colony.measurements import Sex, Species
from colony.outbreak import Colony, Outcome, Spread
from colony.simulation_desk import Simulation, SimulationStatus

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Request(BaseModel):
    """A body from outside: unknown fields, infinities and text in place of numbers are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Person(Answer):
    """Who the caller is, as the API sees it, and how long the token of this call is valid (Unix seconds)."""

    sub: str
    name: str
    email: str
    roles: list[str]
    groups: list[str]
    scopes: list[str]
    issuer: str
    token_issued_at: float
    token_expires_at: float


class PredictRequest(Request):
    species: Species
    sex: Sex
    bill_length_mm: float = Field(ge=25.0, le=70.0)
    bill_depth_mm: float = Field(ge=10.0, le=25.0)
    flipper_length_mm: float = Field(ge=150.0, le=250.0)

    def bird(self) -> Bird:
        return Bird(**self.model_dump())


class PredictAnswer(Answer):
    """Grams; 95 of 100 such birds lie between `low_g` and `high_g`."""

    mass_g: float
    low_g: float
    high_g: float
    r_squared: float
    birds: int

    @classmethod
    def of(cls, estimate: Estimate, *, r_squared: float, birds: int) -> Self:
        return cls(
            mass_g=round(estimate.mass_g, 1),
            low_g=round(estimate.low_g, 1),
            high_g=round(estimate.high_g, 1),
            r_squared=round(r_squared, 4),
            birds=birds,
        )


class SimulationRequest(Request):
    nests_per_side: int = Field(default=40, ge=10, le=60)
    days: int = Field(default=120, ge=10, le=240)
    transmission: float = Field(default=0.08, gt=0.0, le=1.0)
    incubation_days: float = Field(default=2.0, ge=0.5, le=14.0)
    infectious_days: float = Field(default=5.0, ge=1.0, le=21.0)
    mortality: Share = 0.35
    wandering: Share = 0.05
    index_cases: int = Field(default=2, ge=1, le=20)
    runs: int = Field(default=24, ge=1, le=40)
    seed: int = Field(default=1, ge=0, le=2**31 - 1)

    def colony(self) -> Colony:
        return Colony(**self.model_dump())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.nests_per_side**2 * self.days * self.runs > 25_000_000:
            raise ValueError("nests, days and runs multiply to more than this service computes; ask for fewer runs")
        return self


class SpreadAnswer(Answer):
    low: float
    median: float
    high: float

    @classmethod
    def of(cls, spread: Spread) -> Self:
        return cls(low=round(spread.low, 4), median=round(spread.median, 4), high=round(spread.high, 4))


class DayAnswer(SpreadAnswer):
    """Infectious birds on one day."""

    day: int


class OutcomeAnswer(Answer):
    """`arrival_day[row][column]` is the day on which that nest fell ill in the median run; null if it never did."""

    nests: int
    ever_infected_share: SpreadAnswer
    deaths: SpreadAnswer
    peak_day: SpreadAnswer
    peak_infectious: SpreadAnswer
    died_out_share: float
    arrival_day: list[list[int | None]]

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        return cls(
            nests=outcome.nests,
            ever_infected_share=SpreadAnswer.of(outcome.ever_infected_share),
            deaths=SpreadAnswer.of(outcome.deaths),
            peak_day=SpreadAnswer.of(outcome.peak_day),
            peak_infectious=SpreadAnswer.of(outcome.peak_infectious),
            died_out_share=round(outcome.died_out_share, 4),
            arrival_day=[[day if day >= 0 else None for day in row] for row in outcome.arrival_day],
        )


class SimulationAnswer(Answer):
    id: str
    status: SimulationStatus
    progress: Share
    day: int
    days: int
    curve: list[DayAnswer]
    outcome: OutcomeAnswer | None = None

    @classmethod
    def of(cls, simulation: Simulation) -> Self:
        return cls(
            id=simulation.id,
            status=simulation.status,
            progress=round(simulation.progress, 4),
            day=len(simulation.days),
            days=simulation.colony.days,
            curve=[DayAnswer(day=day.day, **SpreadAnswer.of(day.infectious).model_dump()) for day in simulation.days],
            outcome=OutcomeAnswer.of(simulation.outcome) if simulation.outcome else None,
        )


class UsageAnswer(Answer):
    name: str
    endpoint: str
    calls: int
    last_called_at: float


class UsageReport(Answer):
    """Calls per person and endpoint since `since` (Unix seconds), most calls first."""

    since: float
    entries: list[UsageAnswer]


class Health(Answer):
    status: str = "ok"
