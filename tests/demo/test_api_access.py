"""Who may call what: the API checks each token itself, even behind a gateway."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.demo.science_api import ScienceApi

GENTOO = {"species": "Gentoo", "sex": "male", "bill_length_mm": 49.0, "bill_depth_mm": 15.7, "flipper_length_mm": 221.0}
SHUT = [
    ("GET", "users/me"),
    ("POST", "predict"),
    ("POST", "simulations"),
    ("GET", "simulations/anything"),
    ("GET", "admin/usage"),
]


def test_health_is_public(api: ScienceApi) -> None:
    response = api.call("GET", "healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("method", "path"), SHUT)
def test_a_direct_call_without_a_token_gets_401(api: ScienceApi, method: str, path: str) -> None:
    response = api.call(method, path, json={} if method == "POST" else None)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"iss": "https://another-door.test"},
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        {"aud": None},
    ],
    ids=["audience", "issuer", "expired", "no audience"],
)
def test_a_token_with_a_wrong_audience_issuer_or_expiry_gets_401(api: ScienceApi, claims: dict[str, Any]) -> None:
    assert api.call("GET", "users/me", api.token("alice", **claims)).status_code == 401


def test_a_token_signed_with_another_secret_gets_401(api: ScienceApi) -> None:
    forger = ScienceApi(api.url, "another-secret-that-is-long-enough-to-sign-with")
    assert api.call("GET", "users/me", forger.token("alice", roles=("admin",))).status_code == 401


def test_identity_headers_give_no_access(api: ScienceApi) -> None:
    headers = {"X-Auth-Request-User": "alice", "X-Auth-Request-Roles": "analyst,admin"}
    assert api.call("GET", "admin/usage", headers=headers).status_code == 401


def test_a_person_sees_which_identity_the_api_received(api: ScienceApi) -> None:
    token = api.token("alice", roles=("analyst",), email="alice@example.com", name="Alice Moreau", scope="openid")
    me = api.call("GET", "users/me", token).json()
    assert me["sub"] == "alice"
    assert me["name"] == "Alice Moreau"
    assert me["email"] == "alice@example.com"
    assert me["roles"] == ["analyst"]
    assert me["scopes"] == ["openid"]
    assert me["token_expires_at"] - me["token_issued_at"] == 60


def test_an_analyst_gets_a_prediction(api: ScienceApi) -> None:
    response = api.call("POST", "predict", api.token("alice", roles=("analyst",)), json=GENTOO)
    answer = response.json()
    assert response.status_code == 200
    assert 4500 < answer["low_g"] < answer["mass_g"] < answer["high_g"] < 6500


def test_a_machine_with_the_scope_gets_a_prediction(api: ScienceApi) -> None:
    token = api.token("weighing-robot", scope="models:predict")
    assert api.call("POST", "predict", token, json=GENTOO).status_code == 200


@pytest.mark.parametrize("claims", [{"roles": ["viewer"]}, {"scope": "models:read"}, {"roles": "analysts"}])
def test_a_caller_without_role_and_scope_gets_403_with_what_is_missing(api: ScienceApi, claims: dict[str, Any]) -> None:
    response = api.call("POST", "predict", api.token("bob", **claims), json=GENTOO)
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"species": "Emu"}, "species"),
        ({"flipper_length_mm": 19.5}, "flipper_length_mm"),
        ({"bill_length_mm": "49"}, "bill_length_mm"),
        ({"bill_depth_mm": None}, "bill_depth_mm"),
        ({"colour": "black"}, "colour"),
    ],
)
def test_wrong_input_gets_422_with_the_name_of_the_field(api: ScienceApi, change: dict[str, Any], field: str) -> None:
    response = api.call("POST", "predict", api.token("alice", roles=("analyst",)), json={**GENTOO, **change})
    assert response.status_code == 422
    assert [fault["loc"][-1] for fault in response.json()["detail"]] == [field]


def test_only_admins_can_read_the_usage(api: ScienceApi) -> None:
    assert api.call("GET", "admin/usage", api.token("alice", roles=("analyst",))).status_code == 403


def test_an_admin_sees_calls_per_person_and_endpoint(api: ScienceApi) -> None:
    carol = api.token("carol", roles=("viewer",))
    for path in ("users/me", "users/me", "simulations/one", "simulations/two"):
        api.call("GET", path, carol)
    api.call("POST", "predict", carol, json=GENTOO)
    report = api.call("GET", "admin/usage", api.token("dora", roles=("admin",))).json()
    calls = {entry["endpoint"]: entry["calls"] for entry in report["entries"] if entry["name"] == "carol"}
    assert calls == {"GET /users/me": 2, "GET /simulations/{simulation_id}": 2, "POST /predict": 1}


def test_the_documentation_page_of_the_api_loads_nothing_from_other_servers(api: ScienceApi) -> None:
    page = api.call("GET", "docs").text
    for request in ("POST /predict", "GET /simulations/{simulation_id}", 'href="openapi.json"'):
        assert request in page
    assert "//" not in page.removeprefix("<!doctype html>")
    assert "<script" not in page
    assert api.call("GET", "openapi.json").json()["info"]["title"] == "Rookery API"
