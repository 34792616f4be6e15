"""The charts of all pages. Axes carry their quantity and unit; every chart fits the width it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import pandas as pd

from colony.measurements import LABELS
from ui.look import ACCENT, ALARM, QUIET, SPECIES_COLOURS

_SPECIES: Final = alt.Scale(domain=list(SPECIES_COLOURS), range=list(SPECIES_COLOURS.values()))
_ARRIVAL: Final = alt.Scale(scheme="inferno", reverse=True)
_PEOPLE: Final = alt.Scale(range=[ACCENT, "#E07A1F", "#7B4FA3", "#3B82A0", "#A3A847", QUIET])
# Without it the last label of an axis is cut in half where a chart fills a narrow screen.
_PADDING: Final = {"left": 0, "top": 4, "right": 14, "bottom": 4}


def scatter(birds: pd.DataFrame, x: str, y: str) -> alt.Chart:
    """Two measurements of each bird, coloured by species."""
    return (
        alt.Chart(birds)
        .mark_circle(size=58, opacity=0.68)
        .encode(
            x=alt.X(x, title=LABELS[x], scale=alt.Scale(zero=False, nice=True)),
            y=alt.Y(y, title=LABELS[y], scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color("species", scale=_SPECIES, legend=alt.Legend(title=None, orient="top")),
            tooltip=[alt.Tooltip(name, title=LABELS[name]) for name in ("species", "island", "sex", x, y)],
        )
        .properties(height=330, padding=_PADDING)
    )


def mass_by_island(birds: pd.DataFrame) -> alt.Chart:
    """How body mass spreads on each island, one row of dots per bird."""
    return (
        alt.Chart(birds)
        .mark_tick(thickness=2, size=20, opacity=0.55)
        .encode(
            x=alt.X("body_mass_g", title=LABELS["body_mass_g"], scale=alt.Scale(zero=False)),
            y=alt.Y("island", title=None, axis=alt.Axis(labelLimit=90)),
            yOffset=alt.YOffset("species"),
            color=alt.Color("species", scale=_SPECIES, legend=None),
            tooltip=[alt.Tooltip(name, title=LABELS[name]) for name in ("species", "island", "sex", "body_mass_g")],
        )
        .properties(height=alt.Step(22), padding=_PADDING)
    )


def estimate_among_birds(birds: pd.DataFrame, answer: Mapping[str, float]) -> alt.LayerChart:
    """The estimate and its range over the masses of measured birds of that species and sex."""
    title = LABELS["body_mass_g"]
    lightest = min(birds["body_mass_g"].min(), answer["low_g"]) // 100 * 100
    heaviest = max(birds["body_mass_g"].max(), answer["high_g"]) // 100 * 100 + 100
    scale = alt.Scale(domain=[lightest, heaviest], nice=False)
    x = alt.X("body_mass_g:Q", title=title, scale=scale, bin=alt.Bin(step=100), axis=alt.Axis(tickCount=8))
    measured = alt.Chart(birds).mark_bar(color="#A9C2BF").encode(x=x, y=alt.Y("count()", title="Measured birds"))
    estimate = alt.Chart(pd.DataFrame([dict(answer)]))
    band = estimate.mark_rect(color=ACCENT, opacity=0.14).encode(x=alt.X("low_g:Q", scale=scale, title=title), x2="high_g:Q")
    line = estimate.mark_rule(color=ACCENT, strokeWidth=3).encode(
        x=alt.X("mass_g:Q", scale=scale, title=title),
        tooltip=[alt.Tooltip("mass_g:Q", title="Estimate (g)", format=",.0f")],
    )
    return alt.layer(band, measured, line).properties(height=260, padding=_PADDING)


def outbreak_curve(curve: Sequence[Mapping[str, Any]], *, days: int) -> alt.LayerChart:
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
    return alt.layer(band, line).properties(height=300, padding=_PADDING)


def arrival_map(arrival_day: Sequence[Sequence[int | None]]) -> alt.Chart:
    """The colony from above: the day on which each nest fell ill; nests that never did stay pale."""
    cells = [
        {"row": row, "column": column, "day": day}
        for row, days in enumerate(arrival_day)
        for column, day in enumerate(days)
    ]
    side = len(arrival_day)
    axis = alt.Axis(values=list(range(0, side, 10)), labelAngle=0)
    return (
        alt.Chart(pd.DataFrame(cells))
        .mark_rect(invalid=None)
        .encode(
            x=alt.X("column:O", title="Nest, west to east", axis=axis),
            y=alt.Y("row:O", title="Nest, north to south", axis=axis),
            color=alt.condition(
                "datum.day === null",
                alt.value("#E3EAE8"),
                alt.Color("day:Q", title="Fell ill on day", scale=_ARRIVAL, legend=alt.Legend(orient="top")),
            ),
            tooltip=[alt.Tooltip("day:Q", title="Fell ill on day")],
        )
        .properties(height=360, padding=_PADDING)
    )


def calls_by_endpoint(usage: pd.DataFrame) -> alt.Chart:
    """Calls per endpoint, split by person."""
    return (
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
        .properties(height=alt.Step(34), padding=_PADDING)
    )
