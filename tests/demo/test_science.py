"""The data are the published ones, the model fits them, the outbreak spreads as it should, and the ledger counts."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from colony.body_mass import Bird, fit_body_mass
from colony.measurements import load_measurements, resample_measurements
from colony.outbreak import NEVER, Colony, Outbreak, Outcome
from colony.usage import UsageLedger

COLONY = Colony(
    nests_per_side=20,
    days=80,
    transmission=0.2,
    incubation_days=2.0,
    infectious_days=5.0,
    mortality=0.5,
    wandering=0.1,
    index_cases=3,
    runs=6,
    seed=11,
)


def simulate(colony: Colony) -> Outcome:
    outbreak = Outbreak(colony)
    for _ in range(colony.days):
        outbreak.step()
    return outbreak.outcome()


def test_the_measurements_have_the_published_counts_and_means() -> None:
    birds = load_measurements()
    assert birds.groupby("species").size().to_dict() == {"Adelie": 152, "Chinstrap": 68, "Gentoo": 124}
    means = birds.groupby("species")["body_mass_g"].mean().round(2).to_dict()
    assert means == {"Adelie": 3700.66, "Chinstrap": 3733.09, "Gentoo": 5076.02}
    assert birds["flipper_length_mm"].mean() == pytest.approx(200.92, abs=0.005)


def test_the_large_table_is_large_and_the_same_each_time() -> None:
    table = resample_measurements(20_000)
    assert table.shape == (20_000, 10)
    assert not table.isna().any().any()
    assert table.equals(resample_measurements(20_000))


def test_the_model_explains_most_of_the_mass_and_95_percent_are_in_its_range() -> None:
    model = fit_body_mass()
    birds = load_measurements().dropna()
    assert model.birds == len(birds) == 333
    assert 0.87 < model.r_squared < 0.88
    inside = 0
    for row in birds.to_dict("records"):
        mass = row.pop("body_mass_g")
        row.pop("island")
        estimate = model.estimate(Bird(**row))  # type: ignore[arg-type]  # a row's values are untyped, its keys are Bird's
        inside += estimate.low_g <= mass <= estimate.high_g
    assert 0.93 < inside / len(birds) < 0.97


def test_a_longer_flipper_or_male_sex_predicts_more_mass() -> None:
    model = fit_body_mass()
    bird = Bird("Adelie", "female", 38.0, 18.0, 188.0)
    assert model.estimate(replace(bird, flipper_length_mm=198.0)).mass_g > model.estimate(bird).mass_g
    assert model.estimate(replace(bird, sex="male")).mass_g > model.estimate(bird).mass_g


def test_without_transmission_only_the_first_birds_are_ever_ill() -> None:
    outcome = simulate(replace(COLONY, transmission=0.0))
    assert outcome.ever_infected_share.high * outcome.nests == pytest.approx(3)
    assert sum(day != NEVER for row in outcome.arrival_day for day in row) == 3


def test_strong_transmission_infects_nearly_all_birds_and_half_of_them_die() -> None:
    outcome = simulate(replace(COLONY, transmission=0.8))
    assert outcome.ever_infected_share.low > 0.99
    assert 0.4 < outcome.deaths.median / outcome.nests < 0.6
    assert outcome.died_out_share == 0


def test_without_mortality_nobody_dies() -> None:
    assert simulate(replace(COLONY, mortality=0.0)).deaths.high == 0


def test_infection_spreads_from_nest_to_nest_when_no_bird_moves() -> None:
    outcome = simulate(replace(COLONY, wandering=0.0, index_cases=1))
    arrival = outcome.arrival_day
    side = len(arrival)
    for row in range(side):
        for column in range(side):
            day = arrival[row][column]
            around = [
                arrival[r][c]
                for r in range(max(0, row - 1), min(side, row + 2))
                for c in range(max(0, column - 1), min(side, column + 2))
                if (r, c) != (row, column)
            ]
            assert day <= 0 or any(NEVER < earlier < day for earlier in around)


def test_a_full_ledger_drops_the_entry_that_was_unused_for_longest() -> None:
    ledger = UsageLedger(capacity=2)
    for person in ("alice", "bob", "alice", "carol"):
        ledger.record(person, "GET /users/me", name=person)
    assert [(usage.name, usage.calls) for usage in ledger.entries()] == [("alice", 2), ("carol", 1)]


def test_the_ledger_loses_no_call_between_threads() -> None:
    ledger = UsageLedger()

    def call() -> None:
        for _ in range(500):
            ledger.record("alice", "GET /users/me", name="alice")

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [usage.calls for usage in ledger.entries()] == [4000]
