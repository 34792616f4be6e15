"""The pages, run as a person with an API of fixed answers. The kit's code is the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from streamlit_kit.testing import FakeApi, shown_panel, signed_in_as, signed_out

APP = str(Path(__file__).parents[2] / "deploy" / "demo" / "app.py")
PREDICTION = {"mass_g": 4210.4, "low_g": 3640.0, "high_g": 4780.8, "r_squared": 0.875, "birds": 333}
ME: dict[str, Any] = {
    "sub": "alice",
    "name": "Alice Moreau",
    "email": "alice@example.com",
    "roles": ["analyst"],
    "groups": [],
    "scopes": [],
    "issuer": "https://door.test",
    "token_issued_at": 1_800_000_000,
    "token_expires_at": 1_800_000_060,
}
CURVE = [{"day": day, "low": 1.0, "median": 2.0, "high": 3.0} for day in range(1, 4)]
SPREAD = {"low": 0.1, "median": 0.5, "high": 0.9}
DONE: dict[str, Any] = {
    "id": "run-1",
    "status": "done",
    "progress": 1.0,
    "day": 3,
    "days": 3,
    "curve": CURVE,
    "outcome": {
        "nests": 4,
        "ever_infected_share": SPREAD,
        "deaths": {"low": 0.0, "median": 1.0, "high": 2.0},
        "peak_day": {"low": 1.0, "median": 2.0, "high": 3.0},
        "peak_infectious": SPREAD,
        "died_out_share": 0.25,
        "arrival_day": [[0, 1], [None, 2]],
    },
}
RUNNING = {**DONE, "status": "running", "progress": 0.5, "day": 2, "days": 4, "outcome": None}


@pytest.fixture
def api() -> FakeApi:
    return FakeApi().on("GET", "users/me", json=ME)


@pytest.fixture
def _alice(api: FakeApi) -> Iterator[None]:
    with signed_in_as("alice", name="Alice Moreau", roles=("analyst", "admin"), groups=("science",), api=api):
        yield


def open_page(name: str = "", **query: str | list[str]) -> AppTest:
    """Open a page by its address, as a deep link does."""
    app = AppTest.from_file(APP, default_timeout=30)
    app.query_params.update(query)
    if name:
        app.run()
        app.switch_page(f"views/{name}.py")
        app.query_params.update(query)
    app.run()
    assert not app.exception, app.exception
    return app


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def button(app: AppTest, label: str) -> Any:
    return next(one for one in app.button if one.label == label)


def all_text(app: AppTest) -> str:
    parts = [
        element.value for kind in (app.markdown, app.caption, app.error, app.warning, app.info) for element in kind
    ]
    return "\n".join([*parts, *(element.body for element in app.html)])


def test_a_signed_out_person_sees_only_the_sign_in_panel() -> None:
    with signed_out():
        app = open_page()
    assert "Please sign in" in all_text(app)
    assert not app.metric


@pytest.mark.usefixtures("_alice")
def test_the_start_page_greets_and_the_sidebar_says_who_is_signed_in() -> None:
    app = open_page()
    assert "Welcome to the rookery, Alice" in all_text(app)
    assert "**Alice Moreau**" in all_text(app)
    assert "analyst" in all_text(app)


@pytest.mark.usefixtures("_alice")
def test_a_deep_link_restores_the_filter() -> None:
    app = open_page("explore", species=["Gentoo"], min="5500")
    assert app.slider(key="min").value == 5500
    assert metrics(app)["Birds shown"] == "33 of 342"
    assert open_page("explore").slider(key="min").value == 2700


@pytest.mark.usefixtures("_alice")
def test_a_filter_without_matching_birds_shows_a_message() -> None:
    app = open_page("explore", species=["Chinstrap"], min="6000")
    assert "No bird matches" in all_text(app)
    assert not app.metric


@pytest.mark.usefixtures("_alice")
def test_the_large_table_arrives_completely() -> None:
    app = open_page("explore", large="true")
    assert (20_000, 10) in [frame.value.shape for frame in app.dataframe]


@pytest.mark.usefixtures("_alice")
def test_a_prediction_is_requested_and_shown(api: FakeApi) -> None:
    api.on("POST", "predict", json=PREDICTION)
    app = open_page("predict", bird="Adelie", flipper="195")
    button(app, "Estimate mass").click().run()
    assert api.requests[-1].json() == {
        "species": "Adelie",
        "sex": "female",
        "bill_length_mm": 45.5,
        "bill_depth_mm": 14.2,
        "flipper_length_mm": 195.0,
    }
    assert metrics(app)["Estimated mass"].replace("\u202f", " ") == "4 210 g"


@pytest.mark.usefixtures("_alice")
def test_values_that_the_api_refuses_are_named_with_the_labels_of_the_form(api: FakeApi) -> None:
    detail = [{"loc": ["body", "flipper_length_mm"], "msg": "Input should be greater than or equal to 150"}]
    api.on("POST", "predict", status=422, json={"detail": detail})
    app = open_page("predict")
    button(app, "Estimate mass").click().run()
    assert "**Flipper length (mm)**: Input should be greater" in app.error[0].value
    assert not app.metric


def test_a_person_without_permission_to_predict_sees_the_reason_and_no_traceback() -> None:
    api = FakeApi().on("POST", "predict", status=403, json={"detail": "Predictions are for analysts."})
    with signed_in_as("bob", roles=("viewer",), api=api):
        app = open_page("predict")
        button(app, "Estimate mass").click().run()
    assert not app.exception
    assert shown_panel(app) == 403


@pytest.mark.usefixtures("_alice")
def test_an_unreachable_api_gives_a_panel_with_a_button_to_try_again(api: FakeApi) -> None:
    api.out_of_reach("GET", "users/me")
    app = open_page("who_am_i")
    assert "Out of reach right now" in all_text(app)
    api.on("GET", "users/me", json=ME)
    button(app, "Try again").click().run()
    assert "Out of reach right now" not in all_text(app)


@pytest.mark.usefixtures("_alice")
def test_a_simulation_is_started_watched_and_plotted_and_its_id_is_in_the_address(api: FakeApi) -> None:
    api.on("POST", "simulations", status=202, json=RUNNING).on("GET", "simulations/run-1", json=RUNNING)
    app = open_page("simulate")
    button(app, "Start simulation").click().run()
    assert app.query_params["run"] == "run-1"
    assert "Simulating day 2 of 4" in [progress.proto.text for progress in app.get("progress")]
    assert not app.metric
    api.on("GET", "simulations/run-1", json=DONE)
    app.run()
    assert metrics(app) == {
        "Ever infected": "50%",
        "Deaths": "1 of 4",
        "Peak on day": "2",
        "Runs that died out": "25%",
    }


@pytest.mark.usefixtures("_alice")
def test_a_reload_shows_the_simulation_of_the_address(api: FakeApi) -> None:
    api.on("GET", "simulations/run-1", json=DONE)
    assert metrics(open_page("simulate", run="run-1"))["Deaths"] == "1 of 4"


@pytest.mark.usefixtures("_alice")
def test_the_simulation_id_of_another_person_gives_a_message_and_not_an_error() -> None:
    assert "You have no simulation with this id" in all_text(open_page("simulate", run="run-2"))


@pytest.mark.usefixtures("_alice")
@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (429, {"detail": "busy"}, "Two of your simulations are still running"),
        (422, {"detail": [{"loc": ["body", "runs"], "msg": "Input should be at most 40"}]}, "**Runs**: Input should"),
    ],
)
def test_a_refused_simulation_shows_the_reason(api: FakeApi, status: int, body: dict[str, Any], text: str) -> None:
    api.on("POST", "simulations", status=status, json=body)
    app = open_page("simulate")
    button(app, "Start simulation").click().run()
    assert text in all_text(app)
    assert "run" not in app.query_params


@pytest.mark.usefixtures("_alice")
def test_the_sample_sheet_is_inspected_and_cleaned() -> None:
    app = open_page("clean", sample="true")
    assert metrics(app)["Rows in the file"] == "24"
    assert metrics(app)["Rows when clean"] == "23"
    assert "Impossible value" in set(app.dataframe[0].value["Fault"])


@pytest.mark.usefixtures("_alice")
def test_the_who_am_i_page_shows_claims_session_and_the_identity_at_the_api() -> None:
    app = open_page("who_am_i")
    assert metrics(app)["Your session ends in"].startswith("59 min")
    assert "Token issued at **08:00:00 UTC**, valid until **08:01:00 UTC**" in all_text(app)
    assert json.loads(app.json[0].value)["sub"] == "alice"


@pytest.mark.usefixtures("_alice")
def test_an_admin_sees_which_person_called_which_endpoint(api: FakeApi) -> None:
    entries = [
        {"name": "alice", "endpoint": "POST /predict", "calls": 3, "last_called_at": 1_800_000_000.5},
        {"name": "bob", "endpoint": "GET /users/me", "calls": 2, "last_called_at": 1_800_000_001.5},
    ]
    api.on("GET", "admin/usage", json={"since": 1_800_000_000.0, "entries": entries})
    shown = metrics(open_page("admin"))
    assert (shown["Calls"], shown["People"]) == ("5", "2")


def test_there_is_no_pages_folder_whose_scripts_run_without_app_py() -> None:
    """Until somebody has opened `app.py`, Streamlit serves the files of such a folder as separate pages."""
    assert not (Path(APP).parent / "pages").exists()


def test_a_person_who_is_not_an_admin_sees_the_403_panel_and_the_api_is_not_called() -> None:
    api = FakeApi()
    with signed_in_as("bob", roles=("viewer",), api=api):
        app = open_page("admin")
    assert shown_panel(app) == 403
    assert api.requests == []
