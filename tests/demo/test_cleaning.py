"""Field sheets: what is found, what is corrected, and what stays as it is."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from colony.cleaning import Cleaned, as_csv, clean_sheet
from colony.numerals import parse_numeral
from colony.reading import MAX_BYTES, UnreadableFile, read_sheet

SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "data" / "field-sheet.csv"


def clean(text: str) -> Cleaned:
    return clean_sheet(read_sheet(text.encode()))


def problems(cleaned: Cleaned) -> set[tuple[str, str]]:
    return {(finding.problem, finding.column) for finding in cleaned.findings}


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("39.1", "bill_length_mm", 39.1),
        ("39,1", "bill_length_mm", 39.1),
        ("18.1 cm", "flipper_length_mm", 181.0),
        ("3,750", "body_mass_g", 3750.0),
        ("3 750", "body_mass_g", 3750.0),
        ("3\u202f750", "body_mass_g", 3750.0),
        ("3.75kg", "body_mass_g", 3750.0),
        ("-2", "temperature", -2.0),
        ("about 3900", "body_mass_g", None),
        ("3.75 kg", "flipper_length_mm", None),
        ("1e400", "body_mass_g", None),
        ("nan", "body_mass_g", None),
        ("", "body_mass_g", None),
    ],
)
def test_numbers_are_read_in_the_unit_of_their_column(text: str, column: str, value: float | None) -> None:
    assert parse_numeral(text, column=column) == value


def test_the_sample_sheet_is_cleaned_completely() -> None:
    cleaned = clean_sheet(read_sheet(SAMPLE.read_bytes()))
    again = clean_sheet(read_sheet(as_csv(cleaned.frame)))
    assert len(cleaned.frame) == 23
    assert cleaned.frame.loc[4, "flipper_length_mm"] == 195
    assert cleaned.frame.loc[17, "body_mass_g"] == 4450
    assert list(cleaned.frame.loc[3, ["date", "species", "sex"]]) == ["2007-11-11", "Adelie", "female"]
    assert {problem for problem, _ in problems(again)} == {"Unknown word"}


def test_a_sheet_without_faults_has_no_findings() -> None:
    cleaned = clean("species,island,body_mass_g\nAdelie,Dream,3750\nGentoo,Biscoe,5000\n")
    assert cleaned.findings == ()
    assert as_csv(cleaned.frame).decode() == "species,island,body_mass_g\nAdelie,Dream,3750\nGentoo,Biscoe,5000\n"


def test_spellings_of_one_word_are_unified_and_unknown_words_are_kept_and_reported() -> None:
    cleaned = clean("Species,Sex\nadélie,F\nGentoo penguin,♂\nchinstrap ,male\nKing,male\n")
    assert list(cleaned.frame["species"]) == ["Adelie", "Gentoo", "Chinstrap", "King"]
    assert list(cleaned.frame["sex"]) == ["female", "male", "male", "male"]
    unknown = [finding for finding in cleaned.findings if finding.problem == "Unknown word"]
    assert [(finding.column, finding.count, finding.example) for finding in unknown] == [("species", 1, "King")]


def test_impossible_values_are_emptied_and_reported() -> None:
    cleaned = clean("flipper_length_mm\n181\n1810\n190\n")
    assert cleaned.frame["flipper_length_mm"].isna().to_list() == [False, True, False]
    assert ("Impossible value", "flipper_length_mm") in problems(cleaned)


def test_duplicate_rows_are_kept_once_even_when_they_are_written_differently() -> None:
    cleaned = clean("species,body_mass_g\nAdelie,3750\nadelie,3.75 kg\nAdelie,3751\n")
    assert len(cleaned.frame) == 2
    assert ("Repeated rows", "whole file") in problems(cleaned)


def test_a_column_of_text_with_a_few_numbers_stays_text() -> None:
    cleaned = clean("remarks\nringed\n12\nnest 4, north\nmoulting\n")
    assert list(cleaned.frame["remarks"]) == ["ringed", "12", '"nest 4'.strip('"'), "moulting"]


def test_columns_with_the_same_name_are_all_kept() -> None:
    cleaned = clean("Mass,mass,Mass 2,MASS\n1,2,3,4\n5,6,7,8\n")
    assert list(cleaned.frame.columns) == ["mass", "mass_2", "mass_2_2", "mass_3"]


@pytest.mark.parametrize("formula", ['=HYPERLINK("http://example.com")', "+1+cmd|' /C calc'!A0", "@SUM(A1)", "-1+2"])
def test_formulas_are_made_harmless_in_the_cleaned_sheet(formula: str) -> None:
    sheet = io.StringIO()
    csv.writer(sheet).writerows([["species", "remarks"], ["Adelie", formula], ["Gentoo", "fine"]])
    cleaned = clean(sheet.getvalue())
    rows = list(csv.reader(io.StringIO(as_csv(cleaned.frame).decode())))
    assert rows[1][1] == f"'{formula}"
    assert ("Formula", "remarks") in problems(cleaned)


def test_a_formula_in_the_header_is_made_harmless() -> None:
    assert as_csv(clean("=cmd(),b\n1,2\n").frame).decode().splitlines()[0] == "cmd,b"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_usual_separator_is_understood(separator: str) -> None:
    text = separator.join(("species", "sex")) + "\n" + separator.join(("Adelie", "male")) + "\n"
    assert clean(text).frame.to_dict("records") == [{"species": "Adelie", "sex": "male"}]


def test_a_file_in_windows_encoding_keeps_its_letters() -> None:
    sheet = read_sheet("observer\nK. Gorman\nJosé\n".encode("cp1252"))
    assert list(sheet.frame["observer"]) == ["K. Gorman", "José"]
    assert [finding.problem for finding in sheet.findings] == ["Encoding"]


def test_rows_of_wrong_length_are_counted_and_reported_with_their_line() -> None:
    sheet = read_sheet(b"a,b,c\n1,2,3\n\n4,5\n6,7,8,9\n")
    assert sheet.frame.to_numpy().tolist() == [["1", "2", "3"], ["4", "5", ""], ["6", "7", "8"]]
    assert list(sheet.frame.index) == [2, 4, 5]
    assert [(finding.problem, finding.count, finding.example) for finding in sheet.findings] == [
        ("Ragged rows", 2, "line 4")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"species,sex\n",
        b"PK\x03\x04\x00\x00",
        b"a,b\n" + b"1,2\n" * 60_000,
        b"a" * (MAX_BYTES + 1),
        b'a,b\n"' + b"x" * 200_000 + b",2\n",
    ],
    ids=["empty", "blank", "header only", "zip", "too many rows", "too large", "endless cell"],
)
def test_a_file_that_is_not_a_table_is_refused_with_a_clear_message(content: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"\.$"):
        read_sheet(content)
