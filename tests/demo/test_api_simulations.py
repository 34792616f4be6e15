"""Simulations in the background: they are started, watched and finished, and other people cannot see them."""

from __future__ import annotations

import time
from typing import Any

from tests.demo.science_api import ScienceApi, running_api

SMALL = {"nests_per_side": 12, "days": 20, "runs": 4, "seed": 7}


def start(api: ScienceApi, token: str, **change: Any) -> str:
    response = api.call("POST", "simulations", token, json={**SMALL, **change})
    assert response.status_code == 202
    simulation_id = response.json()["id"]
    assert response.headers["Location"] == f"simulations/{simulation_id}"
    return str(simulation_id)


def follow(api: ScienceApi, token: str, simulation_id: str) -> list[dict[str, Any]]:
    """Every state seen until it has ended."""
    seen = []
    end = time.monotonic() + 30
    while time.monotonic() < end:
        seen.append(api.call("GET", f"simulations/{simulation_id}", token).json())
        if seen[-1]["status"] in {"done", "failed"}:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"still {seen[-1]['status']}")


def test_a_simulation_runs_to_its_end_and_reports_its_progress(api: ScienceApi) -> None:
    token = api.token("alice")
    seen = follow(api, token, start(api, token))
    progress = [state["progress"] for state in seen]
    assert progress == sorted(progress)
    assert len({value for value in progress if 0 < value < 1}) > 1
    assert all(state["outcome"] is None for state in seen[:-1])
    last = seen[-1]
    assert (last["status"], last["progress"], len(last["curve"])) == ("done", 1.0, 20)
    assert last["outcome"]["nests"] == 144
    assert len(last["outcome"]["arrival_day"]) == 12


def test_the_same_seed_gives_the_same_outbreak(api: ScienceApi) -> None:
    token = api.token("ed")
    first, again, other = (follow(api, token, start(api, token, seed=seed))[-1] for seed in (3, 3, 4))
    assert first["curve"] == again["curve"]
    assert first["curve"] != other["curve"]


def test_the_simulation_of_another_person_gives_404_even_for_an_admin(api: ScienceApi) -> None:
    simulation_id = start(api, api.token("alice"))
    answers = [
        api.call("GET", f"simulations/{simulation_id}", token)
        for token in (api.token("bob"), api.token("root", roles=("admin",)))
    ]
    never = api.call("GET", "simulations/never-started", api.token("bob"))
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.text for answer in answers} == {never.text}


def test_a_simulation_that_is_too_large_gets_422(api: ScienceApi) -> None:
    body = {"nests_per_side": 60, "days": 240, "runs": 40}
    assert api.call("POST", "simulations", api.token("alice"), json=body).status_code == 422


def test_a_third_parallel_simulation_of_a_person_gets_429_and_stopping_does_not_wait_for_simulations() -> None:
    with running_api(simulation_seconds=600) as api:
        alice = api.token("alice")
        start(api, alice)
        start(api, alice)
        refused = api.call("POST", "simulations", alice, json=SMALL)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        start(api, api.token("bob"))
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 60
