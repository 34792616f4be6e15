"""Every file that the pages for contributors name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository import ROOT

PAGES = (
    "docs/design.md",
    "docs/contributing.md",
    *(f"docs/decisions/{path.name}" for path in (ROOT / "docs" / "decisions").glob("*.md")),
)
_FILE = re.compile(r"`((?:[a-z_]+/)+[a-z_]*(?:\.(?:py|md|toml))?)`")
ROOMS = (ROOT, ROOT / "bff", ROOT / "gateway")
"""The walks name files without their package if the room says which package it is."""

MADE_BY_A_TASK = "build/"
"""A fresh clone does not have this folder: `make docs` and others write there."""


def missing_files(text: str) -> list[str]:
    named = [name for name in _FILE.findall(text) if not name.startswith(MADE_BY_A_TASK)]
    return [name for name in named if not any((room / name).exists() for room in ROOMS)]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    assert not missing_files(Path(ROOT / page).read_text(encoding="utf-8"))


def test_a_missing_file_is_detected() -> None:
    assert missing_files("`bff/nowhere.py` and `bff/errors.py`") == ["bff/nowhere.py"]
