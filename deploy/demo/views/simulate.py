"""An outbreak, simulated by the API in the background. The id is in the address, so the page can be reloaded."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from streamlit_kit import ApiUnavailable, KitError, prepare_client, show_problem
from ui import charts
from ui.asking import asking, show_invalid
from ui.look import figures, grouped, page_head

FIELDS: Final = {
    "nests_per_side": "Nests along each side",
    "days": "Days",
    "transmission": "Transmission per contact and day",
    "infectious_days": "Days a bird is infectious",
    "mortality": "Share of ill birds that die",
    "wandering": "Share of distant contacts",
    "runs": "Runs",
    "seed": "Seed",
}
FINISHED: Final = ("done", "failed")


def ask_for_settings() -> dict[str, Any] | None:
    """Return the form's values after they are sent."""
    with st.form("outbreak"):
        left, middle, right = st.columns(3, gap="medium")
        values: dict[str, Any] = {
            "nests_per_side": left.slider(FIELDS["nests_per_side"], 10, 60, 40, step=5),
            "days": left.slider(FIELDS["days"], 10, 240, 120, step=10),
            "transmission": middle.slider(FIELDS["transmission"], 0.01, 0.30, 0.08, step=0.01),
            "infectious_days": middle.slider(FIELDS["infectious_days"], 1.0, 21.0, 5.0, step=0.5),
            "mortality": right.slider(FIELDS["mortality"], 0.0, 1.0, 0.35, step=0.05),
            "wandering": right.slider(FIELDS["wandering"], 0.0, 1.0, 0.05, step=0.05),
        }
        with st.expander("Runs and chance"):
            left, right = st.columns(2)
            values["runs"] = left.number_input(FIELDS["runs"], 1, 99, 24, help="Each run has its own chance events.")
            values["seed"] = right.number_input(
                FIELDS["seed"], 0, 2**31 - 1, 1, help="The same seed gives the same result."
            )
        is_sent = st.form_submit_button("Start simulation", type="primary", icon=":material/play_arrow:")
    return values if is_sent else None


def start(values: dict[str, Any]) -> None:
    """Start the simulation and put its id into the address."""
    with asking():
        response = prepare_client().post("simulations", json=values)
        if response.status_code == 422:
            show_invalid(response, FIELDS)
        elif response.status_code == 429:
            st.warning("Two of your simulations are still running. Wait for one to end.", icon=":material/hourglass:")
        else:
            st.query_params["run"] = response.raise_for_status().json()["id"]


@st.fragment(run_every=1.0)
def follow(run_id: str) -> None:
    """Show the progress every second. When the simulation has ended, the whole page runs again."""
    try:
        response = prepare_client().get(f"simulations/{run_id}")
    except ApiUnavailable:
        st.caption(":material/cloud_off: The API does not answer at the moment. This page tries again.")
        return
    except KitError as error:
        show_problem(error)
        return
    if not response.is_success or response.json()["status"] in FINISHED:
        st.rerun()
    run = response.json()
    st.progress(run["progress"], text=f"Simulating day {run['day']} of {run['days']}")
    st.altair_chart(charts.outbreak_curve(run["curve"], days=run["days"]), key="curve", alt="Infectious birds so far")


def show_outcome(run: dict[str, Any]) -> None:
    outcome = run["outcome"]
    infected, deaths, peak = outcome["ever_infected_share"], outcome["deaths"], outcome["peak_day"]
    figures(
        ("Ever infected", f"{infected['median']:.0%}"),
        ("Deaths", f"{grouped(deaths['median'])} of {grouped(outcome['nests'])}"),
        ("Peak on day", f"{peak['median']:.0f}"),
        ("Runs that died out", f"{outcome['died_out_share']:.0%}"),
    )
    left, right = st.columns((3, 2), gap="medium")
    with left:
        st.subheader("Infectious birds")
        st.altair_chart(charts.outbreak_curve(run["curve"], days=run["days"]), key="curve", alt="Infectious birds")
        st.caption(
            "The line is the median of the runs. The shaded band holds nine of ten runs. "
            f"Deaths lie between {grouped(deaths['low'])} and {grouped(deaths['high'])}."
        )
    with right:
        st.subheader("Through the colony")
        st.altair_chart(charts.arrival_map(outcome["arrival_day"]), alt="The day on which each nest fell ill")
        st.caption("The median run, seen from above. Light grey nests stayed healthy.")


def show_run(run_id: str) -> None:
    with asking():
        response = prepare_client().get(f"simulations/{run_id}")
        if response.status_code == 404:
            st.info(
                "You have no simulation with this id. Somebody else may have started it, or it was too long ago.",
                icon=":material/search_off:",
            )
            return
        run = response.raise_for_status().json()
    match run["status"]:
        case "done":
            show_outcome(run)
        case "failed":
            st.error("This simulation was interrupted. Start it again.", icon=":material/error:")
        case _:
            follow(run_id)


page_head(
    "Models",
    "An infection in the colony",
    "Birds meet the birds in the nests beside them, and sometimes a bird from far away. Two birds fall ill. "
    "What happens then?",
)
wanted = ask_for_settings()
if wanted is not None:
    start(wanted)
if "run" in st.query_params:
    show_run(st.query_params["run"])
else:
    st.caption("A simulation takes about twenty seconds. It goes on if you close this page.")
