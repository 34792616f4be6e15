"""Requirements: every key given must hold, and a missing claim denies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from bff.access.requirements import STEP_UP, unmet
from bff.access.roles import with_local_roles
from bff.contract import Identity
from bff.settings.tables import Requirements

ADA = Identity(
    sub="ada",
    iss="https://idp.example.com",
    email="Ada@Example.com",
    email_verified=True,
    roles=("analyst", "viewer"),
    groups=("science",),
    acr="2",
    auth_time=1000,
    claims={"unit": "b7", "level": 3, "staff": True, "tags": ["x", 1], "nested": {"deep": "yes"}},
)
NOBODY = Identity(sub="nobody", iss="https://idp.example.com")


def missing(identity: Identity = ADA, *, now: float | None = 1100, scopes: tuple[str, ...] = (), **wanted: Any) -> str:
    return unmet(Requirements(**wanted), identity, scopes=scopes, now=now)


MET: list[dict[str, Any]] = [
    {},
    {"roles_any": ("admin", "analyst")},
    {"roles_all": ("viewer", "analyst")},
    {"groups_any": ("science", "ops")},
    {"groups_all": ("science",)},
    {"emails": ("ADA@example.COM",)},
    {"email_domains": ("example.com",)},
    {"email_domains": ("@Example.COM",)},
    {"claims": {"unit": "b7", "level": 3, "staff": True}},
    {"claims": {"unit": ("a1", "b7")}},
    {"claims": {"tags": "x"}},
    {"claims": {"nested.deep": "yes"}},
    {"acr_any": ("1", "2")},
    {"max_age_seconds": 100},
]
UNMET: list[tuple[str, dict[str, Any]]] = [
    ("roles_any", {"roles_any": ("admin",)}),
    ("roles_any", {"roles_any": ("Analyst",)}),
    ("roles_all", {"roles_all": ("analyst", "admin")}),
    ("groups_any", {"groups_any": ("ops",)}),
    ("groups_all", {"groups_all": ("science", "ops")}),
    ("scopes_all", {"scopes_all": ("models:read",)}),
    ("emails", {"emails": ("bob@example.com",)}),
    ("email_domains", {"email_domains": ("sub.example.com",)}),
    ("email_domains", {"email_domains": ("ample.com",)}),
    ("claims", {"claims": {"unit": "B7"}}),
    ("claims", {"claims": {"level": True}}),
    ("claims", {"claims": {"level": "3"}}),
    ("claims", {"claims": {"staff": 1}}),
    ("claims", {"claims": {"staff": "true"}}),
    ("claims", {"claims": {"tags": True}}),
    ("claims", {"claims": {"missing": "x"}}),
    ("claims", {"claims": {"nested": "yes"}}),
    ("acr", {"acr_any": ("3",)}),
    ("max_age", {"max_age_seconds": 99}),
]


@pytest.mark.parametrize("wanted", MET)
def test_a_requirement_that_the_person_meets_is_not_missing(wanted: dict[str, Any]) -> None:
    assert missing(**wanted) == ""


@pytest.mark.parametrize(("key", "wanted"), UNMET)
def test_a_requirement_that_the_person_does_not_meet_is_named(key: str, wanted: dict[str, Any]) -> None:
    assert missing(**wanted) == key


@pytest.mark.parametrize("wanted", [wanted for wanted in MET if wanted])
def test_a_person_without_claims_meets_no_requirement(wanted: dict[str, Any]) -> None:
    assert missing(NOBODY, now=10**9, **wanted) != ""


def test_all_keys_of_a_requirement_must_be_met() -> None:
    assert missing(roles_any=("analyst",), groups_any=("ops",)) == "groups_any"


def test_scopes_come_from_the_token() -> None:
    assert missing(scopes=("openid", "models:read"), scopes_all=("models:read",)) == ""


def test_an_unverified_email_meets_no_requirement() -> None:
    unverified = replace(ADA, email_verified=False)
    assert missing(unverified, emails=("ada@example.com",)) == "emails"
    assert missing(unverified, email_domains=("example.com",)) == "email_domains"


def test_an_unverified_email_meets_no_requirement_on_the_claim_email() -> None:
    named = replace(ADA, claims={"email": "ada@example.com", "team": "a"})
    assert missing(named, claims={"email": "ada@example.com", "team": "a"}) == ""
    assert missing(replace(named, email_verified=False), claims={"email": "ada@example.com"}) == "claims"
    assert missing(replace(named, email_verified=False), claims={'"email"': "ada@example.com"}) == "claims"
    assert missing(replace(named, email_verified=False), claims={"team": "a"}) == ""


@pytest.mark.parametrize(
    "email",
    [
        "a@evil.com@corp.com",
        "a@corp.com,b@evil.com",
        "a@corp.com;x",
        '"a@evil.com"@corp.com',
        "a <x@corp.com>",
        "a@c\u043erp.com",
        "a@corp.com.evil.com",
        "a@corp.com ",
        "corp.com",
        "",
    ],
)
def test_an_email_that_only_looks_like_the_domain_does_not_meet_email_domains(email: str) -> None:
    assert missing(replace(ADA, email=email), email_domains=("corp.com",)) == "email_domains"


def test_an_email_with_a_look_alike_letter_is_not_another_persons_email() -> None:
    """U+212A KELVIN SIGN is k in lower case."""
    assert missing(replace(ADA, email="\u212aim@corp.com"), emails=("kim@corp.com",)) == "emails"
    assert missing(replace(ADA, email="zoë@corp.com"), emails=("zoë@corp.com",)) == ""


def test_an_authentication_in_the_future_is_not_recent() -> None:
    later = replace(ADA, auth_time=ADA.auth_time + 10_000)
    assert missing(later, max_age_seconds=100_000) == "max_age"


def test_the_age_of_the_sign_in_is_not_checked_without_a_clock() -> None:
    assert missing(now=None, max_age_seconds=1) == ""


def test_step_up_is_offered_only_for_requirements_that_a_new_authentication_can_meet() -> None:
    assert {"acr", "max_age"} == STEP_UP


class TestLocalRoles:
    RULES: ClassVar[dict[str, Requirements]] = {
        "science": Requirements(groups_any=("science",)),
        "reader": Requirements(scopes_all=("models:read",)),
        "boss": Requirements(roles_any=("science",)),
        "analyst": Requirements(emails=("ada@example.com",)),
    }

    def test_local_roles_are_added_once_to_the_roles_of_the_provider(self) -> None:
        assert with_local_roles(ADA, self.RULES).roles == ("analyst", "viewer", "science")

    def test_a_local_role_does_not_lead_to_another_local_role(self) -> None:
        assert "boss" not in with_local_roles(ADA, self.RULES).roles

    def test_local_role_rules_can_ask_for_scopes_of_the_session(self) -> None:
        assert "reader" in with_local_roles(ADA, self.RULES, scopes=frozenset({"models:read"})).roles

    def test_without_local_role_rules_the_identity_is_unchanged(self) -> None:
        assert with_local_roles(ADA, {}) is ADA

    def test_a_person_who_does_not_meet_a_rule_gets_no_local_role(self) -> None:
        assert with_local_roles(NOBODY, self.RULES).roles == ()
