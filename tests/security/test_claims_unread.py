"""Roles in the forms that providers write, at a running door, and what the log says of a form it cannot read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import FakeProvider
from tests.front_door import provider_table
from tests.security.house import House

FORMS: dict[str, Any] = {
    "list": ["admin", "user"],
    "map (Zitadel)": {"admin": {"271828": "corp.example"}, "user": {"271828": "corp.example"}},
    "objects": [{"name": "admin", "id": 1}, {"display_name": "user"}],
    "beside what has no name": ["admin", None, {}, "user"],
}


@pytest.fixture
def roles_house(build_house: Callable[..., House], provider: FakeProvider) -> House:
    table = provider_table(provider, par="off", userinfo="never", roles_claim="urn:roles", roles_from=["id_token"])
    return build_house(providers={"corp": table})


def unread(house: House) -> list[tuple[str, str]]:
    return [(event["reason"], event["detail"]) for event in house.audit if event["event"] == "claim_unread"]


@pytest.mark.parametrize("form", FORMS)
def test_rs_5_roles_are_read_from_each_supported_claim_form(roles_house: House, form: str) -> None:
    house = roles_house
    house.provider.bend.id_token.claims(lambda claims: {**claims, "urn:roles": FORMS[form]})
    browser = house.sign_in()
    assert browser.fetch(f"{house.url}/auth/session").json()["roles"] == ["admin", "user"]
    assert browser.get(f"{house.url}/admin/x").status_code == 200
    assert [reason for reason, _ in unread(house)] == (["roles"] if "beside" in form else [])


@pytest.mark.parametrize(
    "value",
    [
        True,
        {"admin": False},
        {"admin": None},
        {"admin": "false"},
        {"admin": {}},
        {"admin": []},
        {"admin": [False]},
        [True],
        5,
        [],
    ],
    ids=repr,
)
def test_rs_5_a_claim_form_without_readable_roles_gives_no_access(roles_house: House, value: Any) -> None:
    house = roles_house
    house.provider.bend.id_token.claims(lambda claims: {**claims, "urn:roles": value})
    assert house.sign_in().get(f"{house.url}/admin/x").status_code == 403


def test_lg_3_a_role_with_an_empty_value_leaves_an_event(roles_house: House) -> None:
    roles_house.provider.bend.id_token.claims(lambda claims: {**claims, "urn:roles": {"admin": {}, "user": True}})
    roles_house.sign_in()
    assert unread(roles_house) == [
        ("roles", "urn:roles in id_token is a map of 2: 1 of its values give no name"),
    ]


def test_lg_3_a_claim_without_readable_names_leaves_one_event_without_its_value(roles_house: House) -> None:
    house = roles_house
    secret = {"deep": {"er": "unit-test-value"}}
    house.provider.bend.id_token.claims(lambda claims: {**claims, "urn:roles": [secret], "name": ["unit-test-value"]})
    house.sign_in()
    assert unread(house) == [
        ("roles", "urn:roles in id_token is a list of 1: it gives no name"),
        ("name", "name in id_token is a list of 1: it is not one line of text"),
    ]
    assert "unit-test-value" not in repr(house.audit)
