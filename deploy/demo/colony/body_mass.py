"""Estimate a bird's body mass: ordinary least squares, fitted to the sample at the start of the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from colony.measurements import Sex, Species, load_measurements

_TERMS: Final = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm")
_T_95: Final = 1.967  # two-sided 95 % quantile of Student's t with about 326 degrees of freedom


@dataclass(frozen=True, slots=True)
class Bird:
    """One bird; lengths in millimetres."""

    species: Species
    sex: Sex
    bill_length_mm: float
    bill_depth_mm: float
    flipper_length_mm: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected mass and the range that holds 95 of 100 such birds, in grams."""

    mass_g: float
    low_g: float
    high_g: float


@dataclass(frozen=True, slots=True)
class BodyMassModel:
    """A fitted model. `r_squared` is the share of the spread that it explains, `residual_sd_g` the rest."""

    coefficients: npt.NDArray[np.float64]
    inverse: npt.NDArray[np.float64]
    residual_sd_g: float
    r_squared: float
    birds: int

    def estimate(self, bird: Bird) -> Estimate:
        row = np.array(
            [
                1.0,
                float(bird.species == "Chinstrap"),
                float(bird.species == "Gentoo"),
                float(bird.sex == "male"),
                bird.bill_length_mm,
                bird.bill_depth_mm,
                bird.flipper_length_mm,
            ]
        )
        mass = float(row @ self.coefficients)
        margin = _T_95 * self.residual_sd_g * float(np.sqrt(1.0 + row @ self.inverse @ row))
        return Estimate(mass, mass - margin, mass + margin)


def fit_body_mass(measurements: pd.DataFrame | None = None) -> BodyMassModel:
    """Fit mass ~ species + sex + bill length + bill depth + flipper length on the birds that have all of these."""
    birds = (load_measurements() if measurements is None else measurements).dropna()
    design = np.column_stack(
        [
            np.ones(len(birds)),
            birds["species"] == "Chinstrap",
            birds["species"] == "Gentoo",
            birds["sex"] == "male",
            *(birds[name] for name in _TERMS),
        ]
    ).astype(np.float64)
    mass = birds["body_mass_g"].to_numpy(dtype=np.float64)
    coefficients, *_ = np.linalg.lstsq(design, mass, rcond=None)
    residual = mass - design @ coefficients
    variance = float(residual @ residual) / (len(birds) - design.shape[1])
    spread = mass - mass.mean()
    return BodyMassModel(
        coefficients=coefficients,
        inverse=np.linalg.inv(design.T @ design).astype(np.float64),
        residual_sd_g=variance**0.5,
        r_squared=1.0 - float(residual @ residual) / float(spread @ spread),
        birds=len(birds),
    )
