"""Claims by path: existing values are found, and nothing else is read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.claims import MAX_VALUE_LENGTH, MAX_VALUES, NamesRead, claim_at, names_at, read_names, text_at

CLAIMS: dict[str, Any] = {
    "groups": ["science", "ops"],
    "realm_access": {"roles": ["analyst"], "": 1},
    "https://example.com/roles": ["admin"],
    "a.b": "flat",
    "a": {"b": "nested", "c": None},
    "one": "single",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("groups", ["science", "ops"]),
        ("realm_access.roles", ["analyst"]),
        ("https://example.com/roles", ["admin"]),
        ('"https://example.com/roles"', ["admin"]),
        ("'one'", "single"),
        ("a.b", "flat"),
        ("a.c", None),
        ("a.b.c", None),
        ("missing", None),
        ("realm_access.missing", None),
        ("groups.0", None),
        ("https://example.com/roles.x", None),
        ("https://other.example/roles", None),
        ("", None),
    ],
)
def test_a_claim_path_finds_its_value(path: str, expected: object) -> None:
    assert claim_at(CLAIMS, path) == expected


def test_a_claim_name_that_is_a_url_is_not_read_as_a_path() -> None:
    assert claim_at({"https://example": {"com/roles": ["admin"]}}, "https://example.com/roles") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["b", "a", "b"], ("b", "a")),
        ("single", ("single",)),
        ("two words", ("two words",)),
        ([None, True, {"a": 1}, ["x"], "ok"], ("ok",)),
        ([1, 2.0, 2.5, -3, 10**30, "ok"], ("1", "2", "2.5", "-3", str(10**30), "ok")),
        ([10**300, float("nan"), float("inf"), "ok"], ("ok",)),
        ([{"name": "a"}, {"display_name": "b", "id": "x"}, {"id": 7}, {"name": "", "id": "c"}], ("a", "b", "7", "c")),
        ([{"name": ["a"]}, {"name": {"name": "a"}}, {"name": "a\nb"}, {"name": True}, {}], ()),
        ({"name": "one object", "id": 5}, ("one object",)),
        ({"id": "one object"}, ("one object",)),
        ({"admin": {"271828": "corp.example.com"}, "user": {"271828": ""}}, ("admin", "user")),
        ({"admin": False, "chief": None, "boss": "", "root": 0, "user": True}, ("user",)),
        ({"admin": {}, "chief": [], "user": ["x"]}, ("user",)),
        ({"admin": [False], "chief": ["false", None, ""], "boss": [[], {}], "user": [False, True]}, ("user",)),
        ({"admin": "false", "chief": "No", "boss": " 0 ", "root": "OFF", "a": "null", "user": "true"}, ("user",)),
        ({"a\nb": 1, "": 1, "x" * 257: 1}, ()),
        ({"name": {"271828": "corp.example.com"}}, ("name",)),
        (["", "a\nb", "a\x00", "\ud800", "\u2028"], ()),
        (["x" * MAX_VALUE_LENGTH, "y" * (MAX_VALUE_LENGTH + 1)], ("x" * MAX_VALUE_LENGTH,)),
        ({"admin": True}, ("admin",)),
        (True, ()),
        (None, ()),
        (7, ("7",)),
        ("", ()),
        ({}, ()),
        ([], ()),
    ],
)
def test_names_are_read_in_the_forms_that_providers_write(value: object, expected: tuple[str, ...]) -> None:
    assert names_at({"roles": value}, "roles") == expected


def test_a_list_of_names_is_read_completely_or_not_at_all() -> None:
    names = [str(number) for number in range(MAX_VALUES)]
    assert names_at({"roles": names}, "roles") == tuple(names)
    assert names_at({"roles": [*names, "one more"]}, "roles") == ()


def test_without_a_path_there_are_no_names() -> None:
    assert names_at({"": ["admin"]}, "") == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Ada", "Ada"),
        ("Zoë ✓", "Zoë ✓"),
        ("a\r\nb", ""),
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, ""),
        (5, ""),
        (None, ""),
    ],
)
def test_a_text_claim_is_read_only_when_it_is_one_printable_line(value: object, expected: str) -> None:
    assert text_at({"name": value}, "name") == expected
    assert text_at({}, "name") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("ab.", max_size=4), JSON, max_size=4), st.text("ab.", max_size=6))
def test_any_path_in_any_claims_gives_a_list_of_names(claims: dict[str, Any], path: str) -> None:
    names = names_at(claims, path)
    assert all(isinstance(name, str) and name for name in names)
    if names:
        assert claim_at(claims, path) is not None


@pytest.mark.parametrize(
    ("value", "names", "lost", "shape"),
    [
        (["a", None, {}], ("a",), 2, "a list of 3"),
        (True, (), 1, "true or false"),
        ({"a": False}, (), 0, "a map of 1"),
        ({"a\n": 1}, (), 1, "a map of 1"),
        ({"a": {}, "b": [], "c": {"d": 1}}, ("c",), 2, "a map of 3"),
        ({"a": [False]}, (), 0, "a map of 1"),
        (["x"] * (MAX_VALUES + 5), (), MAX_VALUES + 5, f"a list of {MAX_VALUES + 5}"),
        (float("nan"), (), 1, "a number"),
        ("a\nb", (), 1, "text"),
        ([], (), 0, "a list of 0"),
        (None, (), 0, ""),
        ("", (), 0, ""),
    ],
)
def test_values_without_a_readable_name_are_counted(
    value: object, names: tuple[str, ...], lost: int, shape: str
) -> None:
    assert read_names({"a": {"roles": value}}, "a.roles") == NamesRead(names, lost, shape)
