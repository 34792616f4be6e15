"""Routes whose paths differ only in case: the front door serves one of them alone, so both together are a fault."""

from __future__ import annotations

import pytest

from bff.settings.path_cases import paths_that_differ_in_case
from bff.settings.tables import RouteSettings
from tests.bff.settings.test_rules import faults, routes


def route(path: str, host: str = "") -> RouteSettings:
    return RouteSettings(id="any", path=path, host=host, upstream=("http://127.0.0.1:9001",))


@pytest.mark.parametrize(
    "pair",
    [
        (route("/admin"), route("/admin/x")),
        (route("/Admin"), route("/Admins")),
        (route("/x", "a.example"), route("/X", "b.example")),
    ],
    ids=["below the other", "another name", "at other hosts"],
)
def test_paths_that_no_reader_confuses_are_no_fault(pair: tuple[RouteSettings, RouteSettings]) -> None:
    assert list(paths_that_differ_in_case(pair)) == []


def test_a_fault_names_the_other_path() -> None:
    (fault,) = faults(**routes({"path": "/admin/"}, {"id": "b", "path": "/Admin/"}))
    assert (fault.key, fault.message) == ("routes[1].path", "differs from /admin only in upper and lower case")
