"""Requests below `/oauth2` are read as oauth2-proxy reads them, and what nobody understands refuses everybody."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bff.contract import Identity
from bff.errors import Forbidden
from bff.web.old_requests import WhoMayPass, read_rules, read_target
from tests.bff.factories import ALICE as PLAIN_ALICE


@pytest.mark.parametrize(
    ("query", "target"),
    [
        (b"", ""),
        (b"a=b", ""),
        (b"rd=", ""),
        (b"rd=%2Freport%3Fa%3D1%26b%3D2", "/report?a=1&b=2"),
        (b"rd=%2Fa%2520b", "/a%20b"),
        (b"x=1&rd=/report&y=2", "/report"),
        (b"rd=https://apps.example.com/report?a=1&b=2", "https://apps.example.com/report?a=1&b=2"),
        (b"rd=https://apps.example.com/a%20b", "https://apps.example.com/a%20b"),
        (b"rd=/report?a=1&b=%26", "/report?a=1&b=%26"),
        (b"rd=https://apps.example.com/x?a=1&rd=//evil.example", "https://apps.example.com/x?a=1&rd=//evil.example"),
        (b"rd=/good&rd=/second", "/good"),
        (b"xrd=/elsewhere", ""),
        (b"RD=/elsewhere", ""),
        (b"rd[]=/elsewhere", ""),
    ],
)
def test_the_target_is_the_first_rd_and_a_raw_address_keeps_its_query(query: bytes, target: str) -> None:
    assert read_target(query) == target


def unmet(query: bytes, identity: Identity, *, roles_are_groups: bool = False) -> str:
    return read_rules(query).unmet(identity, roles_are_groups=roles_are_groups)


ALICE = replace(PLAIN_ALICE, email="alice@example.com", email_verified=True, groups=("science", "art"))


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"allowed_groups=science",
        b"allowed_groups=law,science",
        b"allowed_groups=law,%20art%20",
        b"allowed_emails=Alice@Example.com",
        b"allowed_email_domains=EXAMPLE.com",
        b"allowed_users=alice,bob",
        b"allowed_groups=science&allowed_emails=alice@example.com&allowed_email_domains=example.com",
        b"allowed_groups=science&require_all_matches=true&constraints_required=true",
        b"constraints_required=false",
    ],
)
def test_a_person_passes_if_every_rule_holds(query: bytes) -> None:
    assert unmet(query, ALICE) == ""


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        (b"allowed_groups=law", "allowed_groups"),
        (b"allowed_groups=Science", "allowed_groups"),
        (b"allowed_groups=role:analyst", "allowed_groups"),
        (b"allowed_emails=bob@example.com", "allowed_emails"),
        (b"allowed_email_domains=ample.com", "allowed_email_domains"),
        (b"allowed_email_domains=.com", "allowed_email_domains"),
        (b"allowed_email_domains=*.example.com", "allowed_email_domains"),
        (b"allowed_users=bob", "allowed_users"),
        (b"allowed_groups=science&allowed_emails=bob@example.com", "allowed_emails"),
        (b"allowed_groups=law&allowed_emails=alice@example.com", "allowed_groups"),
    ],
)
def test_one_rule_that_does_not_hold_is_named(query: bytes, rule: str) -> None:
    assert unmet(query, ALICE) == rule


@pytest.mark.parametrize("query", [b"allowed_emails=alice@example.com", b"allowed_email_domains=example.com"])
def test_an_address_that_nobody_verified_meets_no_rule(query: bytes) -> None:
    assert unmet(query, replace(ALICE, email_verified=False)) != ""


def test_with_keycloak_a_role_counts_as_a_group_with_a_prefix() -> None:
    assert unmet(b"allowed_groups=role:analyst", ALICE, roles_are_groups=True) == ""
    assert unmet(b"allowed_groups=role:chief", ALICE, roles_are_groups=True) == "allowed_groups"
    assert unmet(b"allowed_groups=analyst", ALICE, roles_are_groups=True) == "allowed_groups"


@pytest.mark.parametrize(
    "query",
    [
        b"allowed_groups=",
        b"allowed_groups=,",
        b"allowed_groups",
        b"allowed_groups=science&allowed_groups=law",
        b"allowed_groups=science&allowed%5Fgroups=law",
        b"Allowed_Groups=science",
        b"allowed_roles=science",
        b"groups=science",
        b"rd=/",
        b"allowed_groups=%ff",
        b"allowed_groups=\xff",
        b"require_all_matches=false&allowed_groups=science",
        b"require_all_matches=perhaps",
        b"constraints_required=true",
        b"constraints_required=",
        b"&".join(b"a%d=1" % number for number in range(200)),
    ],
)
def test_a_question_that_nobody_understands_refuses_everybody(query: bytes) -> None:
    with pytest.raises(Forbidden) as refused:
        read_rules(query)
    assert refused.value.code == "forward_auth_rules"
    assert refused.value.detail


def test_no_rule_lets_everybody_in_who_is_signed_in() -> None:
    assert read_rules(b"") == WhoMayPass()
