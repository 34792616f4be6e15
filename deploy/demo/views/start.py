"""The first page: what the app has, and what to try."""

from __future__ import annotations

from typing import Final

import streamlit as st

from colony.measurements import load_measurements
from streamlit_kit import require_login
from ui.look import figures, page_head

CARDS: Final = (
    ("explore", "Explore", ":material/scatter_plot:", "Filter the measurements. The address keeps the filter."),
    ("predict", "Predict", ":material/monitor_weight:", "A bird's mass from its bill and flipper. For analysts."),
    ("simulate", "Simulate", ":material/coronavirus:", "Start an infection in a colony, and watch it spread."),
    ("clean", "Clean", ":material/mop:", "Upload a field sheet, see what is wrong with it, and download it clean."),
    ("who_am_i", "Who am I", ":material/badge:", "What the front door tells this page and the API about you."),
    ("admin", "Admin", ":material/admin_panel_settings:", "Who called which endpoint. Others get a 403 here."),
)

person = require_login()
first_name = (person.name or person.preferred_username or person.sub).split(" ")[0]
page_head(
    "Palmer Archipelago, Antarctica",
    f"Welcome to the rookery, {first_name}",
    "Three species of penguin on three islands, 344 birds measured over three breeding seasons, 2007 to 2009. "
    "Look at them, estimate their weight, and see what an infection would do.",
)

birds = load_measurements()
figures(
    ("Birds", str(len(birds))),
    ("Species", str(birds["species"].nunique())),
    ("Islands", str(birds["island"].nunique())),
    ("Mean body mass", f"{birds['body_mass_g'].mean() / 1000:.2f} kg"),
)

st.space("small")
for row in (CARDS[:3], CARDS[3:]):
    for column, (page, title, icon, text) in zip(st.columns(3), row, strict=True):
        with column, st.container(border=True, height="stretch"):
            st.page_link(f"views/{page}.py", label=f"**{title}**", icon=icon)
            st.caption(text)

st.caption(
    "Measurements: Gorman, Williams and Fraser, Palmer Station LTER, 2014; in the public domain (CC0). "
    "The outbreak model is an illustration, not a forecast."
)
