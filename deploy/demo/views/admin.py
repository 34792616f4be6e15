"""Who called which endpoint of the API. Both `app.py` and the API ask for the role."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from streamlit_kit import prepare_client, require_role
from ui import charts
from ui.asking import asking
from ui.look import figures, grouped, page_head

require_role("admin")
page_head("Admin", "Who uses the API", "Calls per person and endpoint since the API started, counted in its memory.")

with asking():
    report = prepare_client().get("admin/usage").raise_for_status().json()
usage = pd.DataFrame(report["entries"])
figures(
    ("Calls", grouped(usage["calls"].sum())),
    ("People", str(usage["name"].nunique())),
    ("Counting since", datetime.fromtimestamp(report["since"], UTC).strftime("%d %b, %H:%M UTC")),
)
st.subheader("Calls by endpoint")
st.altair_chart(charts.calls_by_endpoint(usage), alt="Calls by endpoint and person")
st.subheader("Every pair")
usage["last_called_at"] = pd.to_datetime(usage["last_called_at"], unit="s", utc=True)
st.dataframe(
    usage,
    hide_index=True,
    column_config={
        "name": "Person",
        "endpoint": "Endpoint",
        "calls": st.column_config.NumberColumn("Calls"),
        "last_called_at": st.column_config.DatetimeColumn("Last call (UTC)", format="DD MMM, HH:mm:ss", timezone="UTC"),
    },
)
st.button("Refresh", icon=":material/refresh:")
