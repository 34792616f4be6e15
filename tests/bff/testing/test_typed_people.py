"""People type roles at the sign-in page of the provider for development, and get the roles that they meant."""

from __future__ import annotations

import pytest

from bff.testing.provider.people import Typed, read_person


@pytest.mark.parametrize("text", ["analyst, boss", "analyst; boss", "analyst;boss,", " analyst ,; boss "])
def test_roles_and_groups_are_separated_by_commas_or_semicolons(text: str) -> None:
    person = read_person(Typed(name="zoe", roles=text, groups=text), known={})
    assert list(person.roles) == ["analyst", "boss"]
    assert list(person.groups) == ["analyst", "boss"]


def test_a_role_may_have_two_words() -> None:
    assert list(read_person(Typed(name="zoe", roles="data analyst, boss"), known={}).roles) == ["data analyst", "boss"]
