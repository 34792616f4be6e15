"""The measurements, filtered. Every filter is in the address, so a link shows the same birds to the next person."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from colony.measurements import LABELS, NUMBERS, SPECIES, load_measurements, resample_measurements
from ui import charts
from ui.look import figures, grouped, page_head

LIGHTEST, HEAVIEST = 2700, 6300


@st.cache_data(show_spinner=False)
def measured_birds() -> pd.DataFrame:
    """Make the table once. It is the same for everybody, so all sessions share one copy."""
    return load_measurements().dropna(subset=list(NUMBERS))


@st.cache_data(show_spinner="Drawing 20,000 birds…")
def large_table() -> pd.DataFrame:
    return resample_measurements(20_000)


page_head(
    "Data",
    "Three penguins, three islands",
    "Gentoos are heavy and live only on Biscoe. Chinstraps live only on Dream. Adelies live on all three islands.",
)

with st.container(border=True):
    left, right = st.columns(2, gap="medium")
    species = left.pills(
        "Species", SPECIES, selection_mode="multi", default=SPECIES, key="species", bind="query-params"
    )
    least = right.slider(
        "Body mass at least (g)", LIGHTEST, HEAVIEST, LIGHTEST, step=50, key="min", bind="query-params"
    )

everyone = measured_birds()
birds = everyone[everyone["species"].isin(species) & (everyone["body_mass_g"] >= least)]

if birds.empty:
    st.info("No bird matches. Choose a species, or a lower body mass.", icon=":material/search_off:")
else:
    figures(
        ("Birds shown", f"{len(birds)} of {len(everyone)}"),
        ("Mean body mass", f"{grouped(birds['body_mass_g'].mean())} g"),
        ("Mean flipper", f"{birds['flipper_length_mm'].mean():.0f} mm"),
        ("Mean bill", f"{birds['bill_length_mm'].mean():.1f} mm"),
    )
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Longer flippers, heavier birds")
        st.altair_chart(charts.scatter(birds, "flipper_length_mm", "body_mass_g"), alt="Body mass by flipper length")
    with right:
        st.subheader("Bills tell the species apart")
        st.altair_chart(charts.scatter(birds, "bill_length_mm", "bill_depth_mm"), alt="Bill depth by bill length")
    st.subheader("Body mass on each island")
    st.altair_chart(charts.mass_by_island(birds), alt="Body mass by island and species")

    st.subheader("Means by species")
    means = birds.groupby("species")[list(NUMBERS)].mean().round(1)
    means.insert(0, "birds", birds.groupby("species").size())
    st.dataframe(
        means.reset_index().rename(columns={**LABELS, "birds": "Birds"}),
        hide_index=True,
        column_config={LABELS[name]: st.column_config.NumberColumn(format="%.1f") for name in NUMBERS},
    )

with st.expander("For the curious", icon=":material/speed:"):
    st.caption("200,000 cells in one message through the front door: birds drawn again and again, with a little noise.")
    if st.toggle("Large table", key="large", bind="query-params"):
        table = large_table()
        st.dataframe(table, hide_index=True, height=360)
        st.caption(f"{grouped(len(table))} rows, {table.shape[1]} columns")
