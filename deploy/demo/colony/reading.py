"""Read a CSV file as people send it: in any usual encoding, with any usual separator, with rows of unequal length.

The size is limited."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Final

import pandas as pd

from colony.findings import Finding

MAX_BYTES: Final = 5_000_000
MAX_ROWS: Final = 50_000
MAX_COLUMNS: Final = 200
_SEPARATORS: Final = ",;\t|"


class UnreadableFile(Exception):
    """The file cannot be read as a table. The message tells people why."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The file as it came. Every cell is text. The label of each row is its line number in the file."""

    frame: pd.DataFrame
    findings: tuple[Finding, ...] = ()


def read_sheet(content: bytes) -> Sheet:
    """Read a CSV file.

    Raises: UnreadableFile.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"The file is larger than {MAX_BYTES // 1_000_000} MB.")
    if b"\x00" in content:
        raise UnreadableFile("This is not a text file. Save the sheet as CSV and send that.")
    text, findings = _decode(content)
    lines = _parse(text, findings)
    if len(lines) < 2:
        raise UnreadableFile("The file has no rows below its header line.")
    (_, header), *rows = lines
    if len(rows) > MAX_ROWS or len(header) > MAX_COLUMNS:
        raise UnreadableFile(f"The file has more than {MAX_ROWS:,} rows or {MAX_COLUMNS} columns.")
    return Sheet(_frame(header, rows, findings), tuple(findings))


def _decode(content: bytes) -> tuple[str, list[Finding]]:
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        finding = Finding("Encoding", "whole file", 1, fix="Read as Windows-1252, written as UTF-8")
        return content.decode("cp1252", errors="replace"), [finding]


def _parse(text: str, findings: list[Finding]) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, each with its number in the file."""
    separator = _separator(text)
    if separator != ",":
        name = {";": "semicolons", "\t": "tabs", "|": "bars"}[separator]
        findings.append(Finding("Separator", "whole file", 1, example=f"cells parted by {name}", fix="Commas instead"))
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise UnreadableFile("A quoted cell in this file never ends, or holds too much.") from error


def _separator(text: str) -> str:
    """Return the separator that the header line has most of; a comma if it has none."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(_SEPARATORS, key=header.count)


def _frame(header: list[str], rows: list[tuple[int, list[str]]], findings: list[Finding]) -> pd.DataFrame:
    width = len(header)
    ragged = [number for number, row in rows if len(row) != width]
    if ragged:
        example = f"line {ragged[0]}"
        findings.append(Finding("Ragged rows", "whole file", len(ragged), example, fix="Padded or cut to the header"))
    cells = [(row + [""] * width)[:width] for _, row in rows]
    return pd.DataFrame(cells, columns=_distinct(header), index=[number for number, _ in rows], dtype=object)


def _distinct(header: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    names = []
    for position, name in enumerate(header, start=1):
        name = name if name.strip() else f"column {position}"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names
