"""A scope is a list of names with spaces between them."""

from __future__ import annotations

import pytest

from bff.oidc.scopes import scope_names


@pytest.mark.parametrize(
    ("scope", "names"),
    [("", ()), ("openid", ("openid",)), ("b a", ("b", "a")), (" a  b ", ("a", "b"))],
    ids=["no name", "one name", "two names in their order", "more spaces than needed"],
)
def test_a_scope_is_read_as_its_names_in_order(scope: str, names: tuple[str, ...]) -> None:
    assert scope_names(scope) == names
