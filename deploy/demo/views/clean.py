"""Show what is wrong with a field sheet, and offer the clean table for download."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from colony.cleaning import Cleaned, as_csv, clean_sheet
from colony.reading import Sheet, UnreadableFile, read_sheet
from ui.look import figures, page_head

SAMPLE = Path(__file__).parent.parent / "data" / "field-sheet.csv"


def choose_content() -> tuple[str, bytes] | None:
    """Return the name and the content of the file to look at. An upload is used instead of the sample."""
    upload = st.file_uploader("Field sheet (CSV, at most 5 MB)", type=["csv", "tsv", "txt"], max_upload_size=5)
    with st.container(horizontal=True, vertical_alignment="center"):
        use_sample = st.toggle("Use the sample sheet", key="sample", bind="query-params")
        st.download_button(
            "Download the sample",
            SAMPLE.read_bytes(),
            SAMPLE.name,
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
    if upload is not None:
        return upload.name, upload.getvalue()
    return (SAMPLE.name, SAMPLE.read_bytes()) if use_sample else None


def show_findings(sheet: Sheet, cleaned: Cleaned) -> None:
    findings = cleaned.findings
    figures(
        ("Rows in the file", str(len(sheet.frame))),
        ("Kinds of fault", str(len({finding.problem for finding in findings}))),
        ("Places", str(sum(finding.count for finding in findings))),
        ("Rows when clean", str(len(cleaned.frame))),
    )
    if not findings:
        st.success("Nothing is wrong with this sheet.", icon=":material/verified:")
        return
    st.subheader("What is wrong")
    table = pd.DataFrame(
        [(one.problem, one.column, one.count, one.example, one.fix) for one in findings],
        columns=["Fault", "Column", "Places", "For example", "Cleaning"],
    )
    st.dataframe(table, hide_index=True, height="content")


def show_tables(sheet: Sheet, cleaned: Cleaned, *, name: str) -> None:
    st.subheader("The table")
    after, before = st.tabs(["Clean", "As it came"])
    with after:
        st.dataframe(cleaned.frame, hide_index=True, placeholder="")
        st.download_button(
            "Download the clean table",
            as_csv(cleaned.frame),
            f"{Path(name).stem}-clean.csv",
            "text/csv",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )
    with before:
        st.dataframe(sheet.frame)


page_head(
    "Data",
    "Clean a field sheet",
    "Cold fingers write commas for points, centimetres for millimetres and one zero too many. "
    "Nothing is guessed: what cannot be read or cannot be true is left empty, and listed.",
)
chosen = choose_content()
if chosen is None:
    st.stop()
try:
    sheet = read_sheet(chosen[1])
except UnreadableFile as error:
    st.error(str(error), icon=":material/error:")
    st.stop()
cleaned = clean_sheet(sheet)
show_findings(sheet, cleaned)
show_tables(sheet, cleaned, name=chosen[0])
