"""The one decision on who may use a route: its provider, then its requirements."""

from __future__ import annotations

from typing import Any

import pytest

from bff.access.policy import ALLOWED, Decision, Denied, StepUp, decide
from bff.contract import Identity
from bff.settings.tables import Requirements, RouteSettings

ALICE = Identity(sub="alice", iss="https://idp.example.com", provider="corp", roles=("analyst",), auth_time=1000)


def decision(*, auth: Any = "required", provider: str = "", **require: Any) -> Decision:
    route = RouteSettings(
        id="page",
        path="/",
        upstream=("http://127.0.0.1:1",),
        auth=auth,
        provider=provider,
        require=Requirements(**require),
    )
    return decide(route, ALICE, scopes=frozenset(), now=1100)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(decision(), ALLOWED, id="a route without rules"),
        pytest.param(decision(provider="corp"), ALLOWED, id="the person's own provider"),
        pytest.param(decision(provider="other"), StepUp("provider"), id="another provider"),
        pytest.param(decision(provider="other", auth="optional"), ALLOWED, id="a provider where nobody must sign in"),
        pytest.param(decision(provider="other", roles_any=["admin"]), StepUp("provider"), id="provider before role"),
        pytest.param(decision(roles_any=["analyst"]), ALLOWED, id="a role the person has"),
        pytest.param(decision(roles_any=["admin"]), Denied("roles_any"), id="a role the person has not"),
        pytest.param(decision(max_age_seconds=99), StepUp("max_age"), id="a sign-in too long ago"),
        pytest.param(decision(acr_any=["gold"]), StepUp("acr"), id="too weak a sign-in"),
    ],
)
def test_the_provider_and_the_requirements_decide_whether_a_person_is_allowed(
    found: Decision, expected: Decision
) -> None:
    assert found == expected


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        pytest.param(StepUp("provider"), "provider", id="provider"),
        pytest.param(StepUp("acr"), "require.acr", id="step-up"),
        pytest.param(Denied("roles_any"), "require.roles_any", id="role"),
    ],
)
def test_a_refusal_names_its_reason_for_the_audit_log(refusal: Denied | StepUp, reason: str) -> None:
    assert refusal.reason == reason
