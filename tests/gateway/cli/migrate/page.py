"""Put the tables of options into docs/coming-from-oauth2-proxy.md: `python -m tests.gateway.cli.migrate.page`."""

from __future__ import annotations

import re

from gateway.cli.migrate.table import page_tables
from tests.repository import ROOT

PAGE = ROOT / "docs" / "coming-from-oauth2-proxy.md"
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"


def with_tables(text: str) -> str:
    """Replace what stands between the two marks."""
    tables = "\n\n".join(page_tables())
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n\n{tables}\n\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
