"""Rookery: the demonstration's Streamlit app, a scientist's desk behind a sign-in.

Run it behind the front door (`vestibule demo`, or `vestibule dev deploy/demo/app.py --api …`). The front door handles
the sign-in, the session and the API's token. The pages only say who may see what.

The pages are in `views`, not in `pages`. Streamlit itself runs the pages in a folder named `pages`, and would do so
without running this script and its checks first.
"""

from __future__ import annotations

import streamlit as st

from streamlit_kit import Page, logout_button, pages, require_login
from ui.look import ICON, apply_style

st.set_page_config(page_title="Rookery", page_icon=ICON, layout="wide")
apply_style()
person = require_login("Rookery is for the people of the station. After you sign in, you come back to this page.")

page = pages(
    [
        Page("views/start.py", title="Start", icon=":material/cottage:", default=True),
        Page("views/explore.py", title="Explore", icon=":material/scatter_plot:", section="Data"),
        Page("views/clean.py", title="Clean", icon=":material/mop:", section="Data"),
        Page("views/predict.py", title="Predict", icon=":material/monitor_weight:", section="Models"),
        Page("views/simulate.py", title="Simulate", icon=":material/coronavirus:", section="Models"),
        Page("views/who_am_i.py", title="Who am I", icon=":material/badge:", url_path="whoami", section="You"),
        Page("views/admin.py", title="Admin", icon=":material/admin_panel_settings:", roles=("admin",), section="You"),
    ],
    expanded=True,
)

with st.sidebar, st.container(key="signed-in-as", gap="small"):
    st.markdown(f"**{person.name or person.preferred_username or person.sub}**")
    with st.container(horizontal=True, gap="xsmall"):
        for role in person.roles:
            st.badge(role, color="gray")
    logout_button("Sign out")
    st.html('<a class="rk-account" href="/auth/account" target="_self">Your account</a>')

page.run()
