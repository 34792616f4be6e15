"""The catalogue of security requirements: which test holds which item of `docs/security-requirements.md`.

A test names its items: `test_cb_4_…` holds CB-4, `test_lo_7_to_lo_11_…` holds LO-7 to LO-11.
`python -m tests.security_requirements` writes the page's column of tests anew.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.repository import ROOT, repository_files

PAGE = ROOT / "docs" / "security-requirements.md"
OPEN = "open"
_ITEM = re.compile(r"test_(?P<group>[a-z]{2})_(?P<number>\d+)(?:_to_(?P=group)_(?P<last>\d+))?_")
_ROW = re.compile(r"\| (?P<id>[A-Z]{2}-\d+) \| (?P<level>[12]) \| (?P<rule>[^|]+) \| (?P<tests>[^|]*) \|")


def items_of(test_name: str) -> tuple[str, ...]:
    """The items that a test's name claims to hold, such as `("LO-7", "LO-8")`."""
    named = _ITEM.match(test_name)
    if named is None:
        return ()
    first, last = int(named["number"]), int(named["last"] or named["number"])
    return tuple(f"{named['group'].upper()}-{number}" for number in range(first, last + 1))


def find_tests() -> dict[str, dict[str, int]]:
    """For each item, how many test functions of which file hold it.

    Only files of the repository count: packages that tests install below `tests/` have tests of their own.
    """
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path in repository_files():
        if path.parts[0] != "tests" or not path.match("test_*.py"):
            continue
        for name in _test_names(ROOT / path):
            for item in items_of(name):
                found[item][path.as_posix()] += 1
    return {item: dict(places) for item, places in found.items()}


def listed_items(page: str) -> list[str]:
    """The ids of the page's rows, in order."""
    return [row["id"] for row in _ROW.finditer(page)]


def with_tests(page: str, tests: Mapping[str, Mapping[str, int]]) -> str:
    """Write `page` with the column of tests filled in from `tests`; an item without a test is open."""
    return _ROW.sub(
        lambda row: f"| {row['id']} | {row['level']} | {row['rule']} | {_cell(tests.get(row['id'], {}))} |", page
    )


def _cell(places: Mapping[str, int]) -> str:
    return ", ".join(f"`{place}` ({count})" for place, count in places.items()) or OPEN


def _test_names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


if __name__ == "__main__":
    PAGE.write_text(with_tests(PAGE.read_text(encoding="utf-8"), find_tests()), encoding="utf-8")
