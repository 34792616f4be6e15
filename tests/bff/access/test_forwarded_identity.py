"""Which parts of an identity are sent to a route: groups, size limit, and what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.access.forwarded_identity import (
    HANDLE_LINE_BYTES,
    assertion_line_bytes,
    choose_omitted,
    forwarded,
    forwarded_to_kit,
    header_bytes,
)
from bff.contract import IDENTITY_BYTES, IDENTITY_LINE_BYTES, Identity
from bff.settings.tables import RouteSettings

ADA = Identity(sub="ada", iss="https://idp.example.com", groups=("app-a", "app-b", "hr"), claims={"groups": ["hr"]})


def route(**keys: object) -> RouteSettings:
    return RouteSettings.model_validate({"id": "api", **keys})


@pytest.mark.parametrize(
    ("globs", "groups"),
    [
        (["*"], ("app-a", "app-b", "hr")),
        (["app-*"], ("app-a", "app-b")),
        (["hr", "app-b"], ("app-b", "hr")),
        (["App-*"], ()),
        ([], ()),
    ],
    ids=["everything", "a prefix", "two names in the person's order", "another case", "nothing"],
)
def test_only_groups_that_match_a_glob_are_forwarded(globs: list[str], groups: tuple[str, ...]) -> None:
    seen = forwarded(ADA, globs)
    assert seen.groups == groups
    assert globs == ["*"] or seen.claims["groups"] == list(groups)


def test_a_kit_client_gets_the_groups_of_all_its_pages() -> None:
    one, two = route(kit="dash", groups_forwarded=["a*"]), route(kit="dash", groups_forwarded=["b*", "a*"])
    assert forwarded_to_kit("dash", [one, two, route(groups_forwarded=["c*"])]) == ("a*", "b*")
    assert forwarded_to_kit("elsewhere", [one]) == ("*",)


@pytest.mark.parametrize("kit", ["", "dash"])
@pytest.mark.parametrize("token", ["none", "assertion"])
def test_the_headers_and_the_assertion_of_a_request_have_the_same_size_limit(kit: str, token: str) -> None:
    one = route(kit=kit, token=token)
    assertions = (bool(kit) + (token == "assertion")) * assertion_line_bytes(one)
    assert assertion_line_bytes(one) <= IDENTITY_LINE_BYTES
    assert header_bytes(one) + assertions + (HANDLE_LINE_BYTES if kit else 0) == IDENTITY_BYTES
    assert header_bytes(one) >= 2048


@pytest.mark.parametrize(
    ("sizes", "surplus", "too_long", "omitted"),
    [
        ({"groups": 10, "roles": 500}, 0, [], ()),
        ({"groups": 10, "roles": 500}, 5, [], ("groups",)),
        ({"roles": 500, "groups": 400, "name": 90}, 300, [], ("groups",)),
        ({"roles": 500, "groups": 400, "name": 90}, 450, [], ("roles",)),
        ({"roles": 500, "groups": 400, "name": 90}, 700, [], ("roles", "groups")),
        ({"roles": 500, "groups": 400}, 450, ["roles"], ("roles",)),
        ({"roles": 5}, 100, [], ("roles",)),
    ],
    ids=[
        "everything fits",
        "groups go first",
        "groups go before what is longer",
        "groups stay if they fit in the place of what is longer",
        "several go",
        "what is too long by itself goes first",
        "nothing more can go",
    ],
)
def test_groups_are_left_out_first_and_then_the_longest_values(
    sizes: dict[str, int], surplus: int, too_long: list[str], omitted: tuple[str, ...]
) -> None:
    assert choose_omitted(sizes, surplus=surplus, too_long=frozenset(too_long)) == omitted


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 99)), st.integers(-50, 500))
def test_enough_is_left_out_to_fit_the_limit_where_that_is_possible(sizes: dict[str, int], surplus: int) -> None:
    omitted = choose_omitted(sizes, surplus=surplus)
    assert sum(sizes[name] for name in omitted) >= min(surplus, sum(sizes.values()))
    if surplus <= 0:
        assert omitted == ()
