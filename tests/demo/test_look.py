"""The demo is readable on light and on dark screens."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ui import look

CONFIG = Path(look.__file__).parents[1] / ".streamlit" / "config.toml"


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_links_and_charts_have_enough_contrast(scheme: str) -> None:
    theme = tomllib.loads(CONFIG.read_text())["theme"]
    colours = theme[scheme]
    page = colours["backgroundColor"]
    for name in ("textColor", "linkColor"):
        assert contrast(colours[name], page) >= 4.5, name
    charts = (*look.SPECIES_COLOURS.values(), look.ACCENT, look.ALARM, look.QUIET, *theme["chartCategoricalColors"])
    for colour in (*charts, colours["primaryColor"]):
        assert contrast(colour, page) >= 2.5, colour


def test_the_style_supports_light_and_dark_colours_and_forces_neither() -> None:
    assert "base" not in tomllib.loads(CONFIG.read_text())["theme"]
    style = re.sub(r"light-dark\([^)]*\)", "", look._STYLE)
    assert not re.search(r"#[0-9A-Fa-f]{6}", style)
