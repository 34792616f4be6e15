"""The charts of all pages. Axes carry their quantity and unit; every chart fits the width it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd

from colony.measurements import LABELS
from ui.look import ACCENT, ALARM, FAINT, QUIET, SPECIES_COLOURS

_SPECIES: Final = alt.Scale(domain=list(SPECIES_COLOURS), range=list(SPECIES_COLOURS.values()))
Picture = alt.Chart | alt.LayerChart | alt.FacetChart

_ARRIVAL: Final = alt.Scale(scheme="inferno", reverse=True)
_PEOPLE: Final = alt.Scale(range=[ACCENT, "#E07A1F", "#9467C2", "#3B82A0", "#A3A847", QUIET])
# Without it, narrow screens cut the last label of an axis in half.
_PADDING: Final = {"left": 0, "top": 4, "right": 14, "bottom": 4}


def scatter(birds: pd.DataFrame, x: str, y: str) -> Picture:
    """Two measurements of each bird, coloured by species."""
    chart = (
        alt.Chart(birds)
        .mark_circle(size=58, opacity=0.68)
        .encode(
            x=alt.X(x, title=LABELS[x], scale=alt.Scale(zero=False, nice=True)),
            y=alt.Y(y, title=LABELS[y], scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color("species", scale=_SPECIES, legend=alt.Legend(title=None, orient="top")),
            tooltip=[alt.Tooltip(name, title=LABELS[name]) for name in ("species", "island", "sex", x, y)],
        )
    )
    return _sized(chart, height=330)


def mass_by_island(birds: pd.DataFrame) -> Picture:
    """How body mass spreads on each island, one row of dots per bird."""
    chart = (
        alt.Chart(birds)
        .mark_tick(thickness=2, size=20, opacity=0.55)
        .encode(
            x=alt.X("body_mass_g", title=LABELS["body_mass_g"], scale=alt.Scale(zero=False)),
            y=alt.Y("island", title=None, axis=alt.Axis(labelLimit=90)),
            yOffset=alt.YOffset("species"),
            color=alt.Color("species", scale=_SPECIES, legend=None),
            tooltip=[alt.Tooltip(name, title=LABELS[name]) for name in ("species", "island", "sex", "body_mass_g")],
        )
    )
    return _sized(chart, height=alt.Step(22))


def estimate_among_birds(birds: pd.DataFrame, answer: Mapping[str, float]) -> Picture:
    """The estimate and its range over the masses of measured birds of that species and sex."""
    title = LABELS["body_mass_g"]
    lightest = min(birds["body_mass_g"].min(), answer["low_g"]) // 100 * 100
    heaviest = max(birds["body_mass_g"].max(), answer["high_g"]) // 100 * 100 + 100
    scale = alt.Scale(domain=[lightest, heaviest], nice=False)
    x = alt.X("body_mass_g:Q", title=title, scale=scale, bin=alt.Bin(step=100), axis=alt.Axis(tickCount=8))
    measured = alt.Chart(birds).mark_bar(color="#A9C2BF").encode(x=x, y=alt.Y("count()", title="Measured birds"))
    estimate = alt.Chart(pd.DataFrame([dict(answer)]))
    band = estimate.mark_rect(color=ACCENT, opacity=0.14).encode(
        x=alt.X("low_g:Q", scale=scale, title=title), x2="high_g:Q"
    )
    line = estimate.mark_rule(color=ACCENT, strokeWidth=3).encode(
        x=alt.X("mass_g:Q", scale=scale, title=title),
        tooltip=[alt.Tooltip("mass_g:Q", title="Estimate (g)", format=",.0f")],
    )
    return _sized(alt.layer(band, measured, line), height=260)


def outbreak_curve(curve: Sequence[Mapping[str, Any]], *, days: int) -> Picture:
    """Infectious birds day by day: median over the runs and the range that holds nine of ten."""
    table = pd.DataFrame(list(curve), columns=["day", "low", "median", "high"])
    x = alt.X("day:Q", title="Day of the outbreak", scale=alt.Scale(domain=[0, days], nice=False))
    base = alt.Chart(table)
    band = base.mark_area(color=ALARM, opacity=0.18).encode(
        x=x, y=alt.Y("low:Q", title="Infectious birds"), y2="high:Q"
    )
    line = base.mark_line(color=ALARM, strokeWidth=2.5).encode(
        x=x,
        y=alt.Y("median:Q", title="Infectious birds"),
        tooltip=[
            alt.Tooltip("day:Q", title="Day"),
            alt.Tooltip("median:Q", title="Median", format=",.0f"),
            alt.Tooltip("low:Q", title="5th percentile", format=",.0f"),
            alt.Tooltip("high:Q", title="95th percentile", format=",.0f"),
        ],
    )
    return _sized(alt.layer(band, line), height=300)


def arrival_map(arrival_day: Sequence[Sequence[int | None]]) -> Picture:
    """The colony from above, with the day on which each nest fell ill. Nests that never did are grey."""
    cells = [
        {"row": row, "column": column, "day": day}
        for row, days in enumerate(arrival_day)
        for column, day in enumerate(days)
    ]
    side = len(arrival_day)
    axis = alt.Axis(values=list(range(0, side, 10)), labelAngle=0)
    chart = (
        alt.Chart(pd.DataFrame(cells))
        .mark_rect(invalid=None)
        .encode(
            x=alt.X("column:O", title="Nest, west to east", axis=axis),
            y=alt.Y("row:O", title="Nest, north to south", axis=axis),
            color=alt.condition(
                "datum.day === null",
                alt.value(FAINT),
                alt.Color("day:Q", title="Fell ill on day", scale=_ARRIVAL, legend=alt.Legend(orient="top")),
            ),
            tooltip=[alt.Tooltip("day:Q", title="Fell ill on day")],
        )
    )
    return _sized(chart, height=360)


def calls_by_endpoint(usage: pd.DataFrame) -> Picture:
    """Calls per endpoint, split by person."""
    chart = (
        alt.Chart(usage)
        .mark_bar()
        .encode(
            x=alt.X("sum(calls):Q", title="Calls", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("endpoint:N", title=None, sort="-x", axis=alt.Axis(labelLimit=190)),
            color=alt.Color("name:N", title="Person", scale=_PEOPLE, legend=alt.Legend(orient="top")),
            tooltip=[
                alt.Tooltip("name:N", title="Person"),
                alt.Tooltip("endpoint:N", title="Endpoint"),
                alt.Tooltip("calls:Q", title="Calls"),
            ],
        )
    )
    return _sized(chart, height=alt.Step(34))


def _sized(chart: Picture, *, height: int | alt.Step) -> Picture:
    sized: Picture = chart.properties(height=height, padding=_PADDING)
    return sized
