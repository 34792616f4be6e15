"""docs/proxies.md says of each cell what the tests say, and no skipped test is called held."""

from __future__ import annotations

import pytest

from tests.proxies.conftest import NOT_HELD
from tests.proxies.starters import STARTERS
from tests.proxies.table import (
    COLUMNS,
    HELD,
    NOT_RUN,
    PAGE,
    USES,
    Failed,
    cells,
    column_of,
    columns,
    read_report,
    read_table,
    title,
    value_of,
    with_tables,
)


@pytest.mark.parametrize("use", USES)
def test_the_page_has_every_cell_of_the_matrix_and_no_other(use: str) -> None:
    expected = {(title(function)[0], column) for function in cells(use) for column in columns(use)}
    assert set(read_table(PAGE.read_text(encoding="utf-8"), use)) == expected


@pytest.mark.parametrize("use", USES)
def test_the_page_says_what_the_tests_hold(use: str) -> None:
    said = read_table(PAGE.read_text(encoding="utf-8"), use)
    for function in cells(use):
        for column in columns(use):
            allowed = ["no"] if (function, column) in NOT_HELD else [HELD]
            if column.partition("/")[0] not in STARTERS:
                allowed.append(NOT_RUN)
            assert said[title(function)[0], column].partition(" (")[0] in allowed, (function, column)


def test_every_reason_why_a_cell_does_not_hold_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [reason for reason in NOT_HELD.values() if reason not in page] == []


def test_every_cell_that_does_not_hold_is_a_cell() -> None:
    known = {(function, column) for use in USES for function in cells(use) for column in columns(use)}
    assert set(NOT_HELD) <= known


@pytest.mark.parametrize("outcomes", [[], ["skipped"], ["passed", "skipped"], ["expected", "skipped"]])
def test_a_cell_that_did_not_run_whole_is_not_held(outcomes: list[str]) -> None:
    assert value_of(outcomes, reason="") == NOT_RUN


def test_a_cell_with_an_expected_failure_does_not_hold() -> None:
    assert value_of(["passed", "expected"], reason="it cannot") == "no: it cannot"


def test_nothing_is_written_after_a_failure() -> None:
    failed = {(next(cells("gateway")), columns("gateway")[0]): ["passed", "failed"]}
    with pytest.raises(Failed):
        with_tables(PAGE.read_text(encoding="utf-8"), failed)


def test_a_run_of_nothing_makes_a_page_that_says_so() -> None:
    page = with_tables(PAGE.read_text(encoding="utf-8"), {})
    assert set(read_table(page, "gateway").values()) == {NOT_RUN}


def test_a_report_is_read_by_test_and_proxy() -> None:
    cases = {
        "test_a[caddy/gateway-/x]": "",
        "test_a[caddy/gateway]": '<skipped type="pytest.skip"/>',
        "test_b[caddy/gateway]": '<skipped type="pytest.xfail"/>',
        "test_c[nginx/gateway]": "<failure/>",
        "test_d[nginx/gateway]": "<error/>",
        "test_of_another_kind": "",
    }
    report = "".join(f'<testcase name="{name}">{inside}</testcase>' for name, inside in cases.items())
    assert read_report(f"<testsuites>{report}</testsuites>") == {
        ("test_a", "caddy/gateway"): ["passed", "skipped"],
        ("test_b", "caddy/gateway"): ["expected"],
        ("test_c", "nginx/gateway"): ["failed"],
        ("test_d", "nginx/gateway"): ["failed"],
    }


@pytest.mark.parametrize("column", COLUMNS)
def test_a_test_is_counted_for_its_proxy(column: str) -> None:
    assert column_of(f"{column}]") == column_of(f"{column}-signed in-/report]") == column
