"""Clean a table of field measurements in small steps. Each step returns the table and what it found.

The steps do not guess. A value that cannot be read, or cannot be true, becomes missing, and a finding says so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import chain, count
from typing import Final

import pandas as pd

from colony.findings import Finding
from colony.measurements import ISLANDS, SEXES, SPECIES
from colony.numerals import parse_numeral
from colony.reading import Sheet

MISSING_MARKS: Final = frozenset(
    {"", "-", "--", ".", "?", "na", "n/a", "#n/a", "nan", "none", "null", "missing", "unknown"}
)
VOCABULARIES: Final = {"species": SPECIES, "island": ISLANDS, "sex": SEXES}
ABBREVIATIONS: Final = {"f": "female", "m": "male", "♀": "female", "♂": "male"}
PLAUSIBLE: Final = {
    "bill_length_mm": (25.0, 70.0),
    "bill_depth_mm": (10.0, 25.0),
    "flipper_length_mm": (150.0, 250.0),
    "body_mass_g": (2000.0, 8000.0),
}
_DATE_FORMATS: Final = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%d %b %Y", "%d %B %Y")
_NUMERIC_FROM: Final = 0.6  # if this share of its cells can be read as numbers, the column holds numbers
_FORMULA = re.compile(r"^[=+\-@\t\r]")

Step = Callable[[pd.DataFrame], tuple[pd.DataFrame, list[Finding]]]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The clean table and everything that was found. Each row keeps the number of its line in the file as its label."""

    frame: pd.DataFrame
    findings: tuple[Finding, ...]


def clean_sheet(sheet: Sheet) -> Cleaned:
    """Run every step over a copy of the sheet."""
    frame = sheet.frame.copy()
    findings = list(sheet.findings)
    for step in STEPS:
        frame, found = step(frame)
        findings += found
    return Cleaned(frame, tuple(findings))


def as_csv(frame: pd.DataFrame) -> bytes:
    """Return the table as a UTF-8 CSV file. Formulas get an apostrophe in front, so that no spreadsheet runs them."""
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = safe[name].map(_without_formula)
    return safe.to_csv(index=False).encode("utf-8")


def rename_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """`Bill Length (mm)` → `bill_length_mm`."""
    names: list[str] = []
    for column in frame.columns:
        words = re.sub(r"[^0-9a-z]+", "_", _plain(str(column))).strip("_") or "column"
        candidates = chain([words], (f"{words}_{number}" for number in count(2)))
        names.append(next(name for name in candidates if name not in names))
    renamed = [str(old) for old, new in zip(frame.columns, names, strict=True) if old != new]
    frame = frame.set_axis(names, axis=1)
    if not renamed:
        return frame, []
    return frame, [Finding("Column names", "header", len(renamed), renamed[0], "Lower case, words joined by _")]


def trim_cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    return _map_columns(frame, "Stray spaces", "Spaces removed", lambda _, text: " ".join(text.split()))


def unify_missing(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Every mark for "not measured" becomes a missing value."""
    findings = []
    frame = frame.copy()
    for name in frame.columns:
        missing = frame[name].str.lower().isin(MISSING_MARKS)
        marked = missing & (frame[name] != "")
        if marked.any():
            marks = ", ".join(frame.loc[marked, name].unique()[:4])
            findings.append(Finding("Marks for missing", name, int(marked.sum()), marks, "Left empty"))
        frame[name] = frame[name].mask(missing, None)
    return frame, findings


def drop_empty(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Remove columns and rows that are empty."""
    findings = []
    empty = [str(name) for name in frame.columns if frame[name].isna().all()]
    if empty:
        findings.append(Finding("Empty columns", ", ".join(empty), len(empty), fix="Removed"))
    frame = frame.drop(columns=empty)
    rows = frame.isna().all(axis=1)
    if rows.any():
        findings.append(Finding("Empty rows", "whole file", int(rows.sum()), f"line {frame.index[rows][0]}", "Removed"))
    return frame[~rows], findings


def unify_words(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Write species, islands and sexes in one spelling each. An unknown word stays as it is and is reported."""
    known = [name for name in frame.columns if name in VOCABULARIES]
    frame, findings = _map_columns(frame, "Spelling", "The one spelling", _spelling, columns=known)
    for name in known:
        strange = frame[name].notna() & ~frame[name].isin(VOCABULARIES[name])
        if strange.any():
            example = str(frame.loc[strange, name].iloc[0])
            findings.append(Finding("Unknown word", name, int(strange.sum()), example, "Left for you to decide"))
    return frame, findings


def unify_dates(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Write dates as YYYY-MM-DD. 03/04/2009 is read as the third of April."""
    dates = [name for name in frame.columns if "date" in str(name).split("_")]
    return _map_columns(frame, "Date format", "YYYY-MM-DD, day first", lambda _, text: _iso_date(text), columns=dates)


def read_numbers(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Turn columns of numbers into numbers, in the unit that the column's name ends with."""
    findings = []
    frame = frame.copy()
    for name in frame.columns:
        cells = frame[name].dropna()
        values = cells.map(lambda text, name=name: parse_numeral(text, column=name))
        if not len(cells) or values.notna().mean() < _NUMERIC_FROM:
            continue
        odd = cells[values.notna() & ~cells.str.fullmatch(r"[+-]?\d+(\.\d+)?")]
        lost = cells[values.isna()]
        if len(odd):
            findings.append(Finding("Number format", name, len(odd), odd.iloc[0], "Plain number, unit of the column"))
        if len(lost):
            findings.append(Finding("Not a number", name, len(lost), lost.iloc[0], "Left empty"))
        numbers = pd.to_numeric(values).reindex(frame.index).astype("Float64")
        frame[name] = numbers.astype("Int64") if (numbers.dropna() % 1 == 0).all() else numbers
    return frame, findings


def remove_implausible(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Remove measurements that no penguin can have."""
    findings = []
    frame = frame.copy()
    for name, (low, high) in PLAUSIBLE.items():
        if name not in frame.columns or not pd.api.types.is_numeric_dtype(frame[name]):
            continue
        outside = frame[name].notna() & ~frame[name].between(low, high)
        if outside.any():
            example = f"{frame.loc[outside, name].iloc[0]:g}, not within {low:g} to {high:g}"
            findings.append(Finding("Impossible value", name, int(outside.sum()), example, "Left empty"))
            frame[name] = frame[name].mask(outside)
    return frame, findings


def drop_duplicates(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    again = frame.duplicated()
    if not again.any():
        return frame, []
    return frame[~again], [
        Finding("Repeated rows", "whole file", int(again.sum()), f"line {frame.index[again][0]}", "Kept once")
    ]


def report_formulas(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """Report cells that a spreadsheet would run. `as_csv` makes them harmless."""
    findings = []
    for name in frame.columns:
        formulas = frame[name].map(lambda cell: _without_formula(cell) != cell if isinstance(cell, str) else False)
        if formulas.any():
            example = str(frame.loc[formulas.astype(bool), name].iloc[0])
            findings.append(Finding("Formula", name, int(formulas.sum()), example, "An apostrophe in front"))
    return frame, findings


STEPS: Final[tuple[Step, ...]] = (
    rename_columns,
    trim_cells,
    unify_missing,
    drop_empty,
    unify_words,
    unify_dates,
    read_numbers,
    remove_implausible,
    drop_duplicates,
    report_formulas,
)


def _map_columns(
    frame: pd.DataFrame,
    problem: str,
    /,
    fix: str,
    change: Callable[[str, str], str],
    *,
    columns: list[str] | None = None,
) -> tuple[pd.DataFrame, list[Finding]]:
    """Apply `change(column, text)` to each cell that holds text. There is one finding for each column that changed."""
    findings = []
    frame = frame.copy()
    for name in frame.columns if columns is None else columns:
        before = frame[name]
        after = before.map(lambda text, name=name: change(name, text) if isinstance(text, str) else text)
        changed = before.notna() & (before != after)
        if changed.any():
            example = f"{before[changed].iloc[0]!r} → {after[changed].iloc[0]!r}"
            findings.append(Finding(problem, str(name), int(changed.sum()), example, fix))
        frame[name] = after
    return frame, findings


def _spelling(column: str, text: str) -> str:
    plain = _plain(text)
    words = {_plain(word): word for word in VOCABULARIES[column]}
    if column == "sex" and plain in ABBREVIATIONS:
        return ABBREVIATIONS[plain]
    close = get_close_matches(plain, words, n=1, cutoff=0.75)
    # People often add the genus or "penguin" to a species. So one known word among the words is enough.
    named = [word for key, word in words.items() if key in plain.split()]
    if len(named) == 1:
        return named[0]
    return words[close[0]] if close else text


def _iso_date(text: str) -> str:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
    return text


def _plain(text: str) -> str:
    """Lower case without accents."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _without_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
