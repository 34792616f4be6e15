"""Call the API from a page, and show why if it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from streamlit_kit import ApiResponse, ApiUnavailable, KitError, show_problem


@contextmanager
def asking() -> Iterator[None]:
    """Show why the page cannot go on (signed out, not allowed, out of reach) in place of the rest of the page."""
    try:
        yield
    except KitError as error:
        show_problem(error)
        if isinstance(error, ApiUnavailable):
            with st.container(horizontal_alignment="center"):
                st.button("Try again", icon=":material/refresh:", type="primary")
        st.stop()


def show_invalid(response: ApiResponse, labels: dict[str, str]) -> None:
    """Show the fields that a 422 answer names, with their labels in the form."""
    faults = read_faults(response.json(), labels)
    lines = "\n".join(f"- **{field}**: {message}" for field, message in faults)
    st.error(f"The API did not accept these values.\n\n{lines}", icon=":material/rule:")


def read_faults(body: Any, labels: dict[str, str]) -> list[tuple[str, str]]:
    """(field, message) for each fault in FastAPI's 422 body; a fault of the whole body has the field "Form"."""
    detail = body.get("detail") if isinstance(body, dict) else None
    faults = []
    for fault in detail if isinstance(detail, list) else []:
        name = str(fault.get("loc", ["", ""])[-1])
        faults.append((labels.get(name, "Form" if name == "body" else name), str(fault.get("msg", ""))))
    return faults or [("Form", "it has a value that is not valid")]
