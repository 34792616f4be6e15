"""Estimate a bird's mass from its measurements with the API's model. The API decides what is valid and who may ask."""

from __future__ import annotations

from typing import Final

import streamlit as st

from colony.measurements import LABELS, SEXES, SPECIES, load_measurements
from streamlit_kit import prepare_client
from ui import charts
from ui.asking import asking, show_invalid
from ui.look import figures, grouped, page_head

FIELDS: Final = {name: LABELS[name] for name in ("bill_length_mm", "bill_depth_mm", "flipper_length_mm")}

page_head(
    "Models",
    "How heavy is this penguin?",
    "It takes a minute to measure a flipper and a bill. To weigh a bird you need a bag, a balance and a patient bird.",
)

with st.form("bird"):
    left, right = st.columns(2, gap="small")
    species = left.segmented_control(
        "Species", SPECIES, default="Gentoo", required=True, key="bird", bind="query-params"
    )
    sex = right.segmented_control("Sex", SEXES, default="female", required=True, key="sex", bind="query-params")
    columns = st.columns(3)
    flipper = columns[0].number_input(
        LABELS["flipper_length_mm"], 0.0, 999.0, 212.0, 1.0, "%.0f", key="flipper", bind="query-params"
    )
    bill = columns[1].number_input(
        LABELS["bill_length_mm"], 0.0, 999.0, 45.5, 0.5, "%.1f", key="bill", bind="query-params"
    )
    depth = columns[2].number_input(
        LABELS["bill_depth_mm"], 0.0, 999.0, 14.2, 0.5, "%.1f", key="depth", bind="query-params"
    )
    asked = st.form_submit_button("Estimate mass", type="primary", icon=":material/monitor_weight:")

if not asked:
    st.caption("The estimate comes from the science API, which asks for the role analyst.")
    st.stop()

with asking():
    response = prepare_client().post(
        "predict",
        json={
            "species": species,
            "sex": sex,
            "bill_length_mm": bill,
            "bill_depth_mm": depth,
            "flipper_length_mm": flipper,
        },
    )
    if response.status_code == 422:
        show_invalid(response, FIELDS)
        st.stop()
    answer = response.raise_for_status().json()

figures(
    ("Estimated mass", f"{grouped(answer['mass_g'])} g"),
    ("95 of 100 such birds", f"{grouped(answer['low_g'])} to {grouped(answer['high_g'])} g"),
    ("Explained by the model", f"{answer['r_squared']:.0%}"),
)
peers = load_measurements().query("species == @species and sex == @sex").dropna(subset=["body_mass_g"])
st.subheader(f"Among {len(peers)} measured {sex} {species} penguins")
st.altair_chart(charts.estimate_among_birds(peers, answer), alt="The estimate among measured birds")
st.caption(
    f"Ordinary least squares on {answer['birds']} birds. The line is the estimate. The shaded band is its 95 % range."
)
