"""The Palmer Archipelago penguins: 344 birds of three species, measured 2007-2009 (CC0; see README.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, get_args

import pandas as pd

Species = Literal["Adelie", "Chinstrap", "Gentoo"]
Sex = Literal["female", "male"]
SPECIES: Final[tuple[str, ...]] = get_args(Species)
SEXES: Final[tuple[str, ...]] = get_args(Sex)
ISLANDS: Final = ("Biscoe", "Dream", "Torgersen")

LABELS: Final = {
    "species": "Species",
    "island": "Island",
    "bill_length_mm": "Bill length (mm)",
    "bill_depth_mm": "Bill depth (mm)",
    "flipper_length_mm": "Flipper length (mm)",
    "body_mass_g": "Body mass (g)",
    "sex": "Sex",
}
NUMBERS: Final = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")

_FILE: Final = Path(__file__).parent.parent / "data" / "penguins.csv"


def load_measurements() -> pd.DataFrame:
    """Return all birds, one row each. A value that was not measured is missing. Lengths are in mm, mass in g."""
    return pd.read_csv(_FILE)


def resample_measurements(rows: int, *, seed: int = 0) -> pd.DataFrame:
    """Make a large table of `rows` rows and 10 columns: birds drawn at random, with a little noise added."""
    birds = load_measurements().dropna().sample(rows, replace=True, random_state=seed).reset_index(drop=True)
    noise = pd.Series(range(rows)).mul(2654435761).mod(1000).div(1000).sub(0.5)
    table = birds.assign(**{name: birds[name].mul(1 + noise * 0.04).round(1) for name in NUMBERS})
    table.insert(0, "bird", [f"P{number:05d}" for number in range(1, rows + 1)])
    table["bill_ratio"] = table["bill_length_mm"].div(table["bill_depth_mm"]).round(3)
    table["mass_per_flipper_g_mm"] = table["body_mass_g"].div(table["flipper_length_mm"]).round(2)
    return table
