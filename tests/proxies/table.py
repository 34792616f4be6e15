"""The tables of docs/proxies.md, made from a run: what holds before which proxy.

`python -m tests.proxies.table` runs tests/proxies and writes the tables anew, unless a test fails. More arguments go to
pytest, such as `-m "long or not long"` for the proxies that have to be installed first.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from tests import components
from tests.proxies.conftest import NOT_HELD, PLACES
from tests.proxies.deployed import FORWARD_AUTH, GATEWAY
from tests.proxies.starters import STARTERS
from tests.repository import ROOT

PAGE = ROOT / "docs" / "proxies.md"
USES = {FORWARD_AUTH: ("place", "deploy"), GATEWAY: ("place",)}
"""For each table, the fixtures of its tests."""
OUTCOMES = {"failure": "failed", "error": "failed", "skipped": "skipped"}
NAMES = {"api": "API", "http2": "HTTP/2", "json": "JSON", "kb": "kB", "websocket": "WebSocket"}
HELD, NOT_RUN = "yes", "not run"
COLUMNS = tuple(str(place.id) for place in PLACES)
_TEST = re.compile(r"test_(?P<group>[a-z]{2})_(?P<number>\d+)_(?P<words>.+)")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_ROW = re.compile(r"^\| (?P<words>[^|]+?) \| (?P<item>[A-Z]{2}-\d+) \|(?P<values>.+)\|$", re.MULTILINE)


class Failed(Exception):
    """A test of the run failed, so nothing may be written."""


def read_report(text: str) -> dict[tuple[str, str], list[str]]:
    """Return what became of each test function before each proxy, from a report of pytest in JUnit's form."""
    outcomes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for case in ElementTree.fromstring(text).iter("testcase"):
        function, _, parameters = case.get("name", "").partition("[")
        column = column_of(parameters)
        if column:
            outcomes[function, column] += [_outcome(part) for part in case if part.tag in OUTCOMES] or ["passed"]
    return outcomes


def _outcome(part: ElementTree.Element) -> str:
    return "expected" if part.get("type") == "pytest.xfail" else OUTCOMES[part.tag]


def column_of(parameters: str) -> str:
    """Return the proxy and its use, which the ids of a test begin with; "" for another test."""
    return next((column for column in COLUMNS if parameters.removesuffix("]").startswith(column)), "")


def value_of(outcomes: Sequence[str], *, reason: str) -> str:
    """Return what a cell says. Only a cell whose every case ran and passed is held."""
    if "failed" in outcomes:
        raise Failed
    if not outcomes or "skipped" in outcomes:
        return NOT_RUN
    if "expected" in outcomes:
        return f"no: {reason}"
    return HELD


def cells(use: str) -> Iterator[str]:
    """The test functions of one table, in order."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        functions = [
            node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
        ]
        if use == GATEWAY and any(node.name == "place" for node in functions):
            continue  # a file with deployments of its own, which are for forward-auth
        for node in functions:
            if not _TEST.fullmatch(node.name):
                continue
            if any(argument.arg in USES[use] for argument in node.args.args):
                yield node.name


def columns(use: str) -> list[str]:
    return [column for column in COLUMNS if column.endswith(f"/{use}")]


def title(function: str) -> tuple[str, str]:
    """Return the words and the requirement of a row."""
    named = _TEST.fullmatch(function)
    assert named is not None, function
    words = (NAMES.get(word, word) for word in named["words"].split("_"))
    return " ".join(words), f"{named['group'].upper()}-{named['number']}"


def table(use: str, outcomes: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Write one table. Reasons stand below it, because they are long."""
    reasons: list[str] = []
    lines = []
    for function in cells(use):
        values = []
        for column in columns(use):
            value = value_of(outcomes.get((function, column), ()), reason=NOT_HELD.get((function, column), ""))
            said, _, reason = value.partition(": ")
            if reason and reason not in reasons:
                reasons.append(reason)
            values.append(f"{said} ({reasons.index(reason) + 1})" if reason else said)
        lines.append("| " + " | ".join((*title(function), *values)) + " |")
    names = [column.removesuffix(f"/{use}") for column in columns(use)]
    head = "| " + " | ".join(("what holds", "item", *names)) + " |\n" + "|---" * (len(names) + 2) + "|\n"
    notes = "".join(f"\n{number}. {reason}" for number, reason in enumerate(reasons, 1))
    return head + "\n".join(lines) + "\n" + (notes + "\n" if notes else "")


def versions() -> str:
    """Return the sentence that names the programs of this machine."""
    found = []
    for proxy in STARTERS.values():
        component, program = components.COMPONENTS[proxy.package], components.find(proxy.package)
        if program is not None:
            asked = subprocess.run([program, component.version_flag], capture_output=True, text=True, check=True)
            found.append(f"{proxy.mode} {_VERSION.findall(asked.stdout + asked.stderr)[0]}")
    return f"Run with {', '.join(found)}."


def with_tables(page: str, outcomes: Mapping[tuple[str, str], Sequence[str]]) -> str:
    """Return the page with both tables written anew, between their marks."""
    for use in USES:
        begin, end = f"<!-- {use}: made by the tests -->\n", f"<!-- {use}: end -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{versions()}\n\n{table(use, outcomes)}\n{end}{rest.partition(end)[2]}"
    return page


def read_table(page: str, use: str) -> dict[tuple[str, str], str]:
    """Return what a table of the page says, by words and column."""
    text = page.partition(f"<!-- {use}: made by the tests -->")[2].partition(f"<!-- {use}: end -->")[0]
    head = next(line for line in text.splitlines() if line.startswith("|"))
    names = [name.strip() for name in head.strip("|").split("|")][2:]
    return {
        (row["words"], f"{name}/{use}"): value.strip()
        for row in _ROW.finditer(text)
        for name, value in zip(names, row["values"].split("|"), strict=True)
    }


def main(arguments: Sequence[str]) -> int:
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        here = Path(__file__).parent
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", str(here), *arguments]
        command.append(f"--ignore={here / 'test_table.py'}")
        subprocess.run(command, check=False, cwd=ROOT)
        outcomes = read_report(report.read_text(encoding="utf-8"))
    try:
        text = with_tables(PAGE.read_text(encoding="utf-8"), outcomes)
    except Failed:
        print("a test failed; docs/proxies.md is left as it was", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
