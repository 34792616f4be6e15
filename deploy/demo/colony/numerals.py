"""Numbers as people write them: `39,1`, `3 750`, `18.1 cm`, `3.8 kg`."""

from __future__ import annotations

import re
from typing import Final

_NUMERAL = re.compile(
    r"(?P<number>[+-]?\d+(?:[ '\u00a0\u202f]\d{3})*(?:[.,]\d+)?)\s*(?P<unit>mm|cm|m|g|kg)?",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"[+-]?\d{1,3},\d{3}")
_FACTORS: Final = {"mm": {"mm": 1.0, "cm": 10.0, "m": 1000.0}, "g": {"g": 1.0, "kg": 1000.0}}


def parse_numeral(text: str, *, column: str = "") -> float | None:
    """Return the number in `text`, in the unit that the name of its column ends with; None if it cannot be read.

    A comma before exactly three digits separates thousands. Any other comma is the decimal sign.
    """
    match = _NUMERAL.fullmatch(text.strip())
    if match is None:
        return None
    number = re.sub(r"[ '\u00a0\u202f]", "", match["number"])
    value = float(number.replace(",", "") if _THOUSANDS.fullmatch(number) else number.replace(",", "."))
    unit = (match["unit"] or "").lower()
    if not unit:
        return value
    factor = _FACTORS.get(column.rsplit("_", 1)[-1], {}).get(unit)
    return None if factor is None else round(value * factor, 6)
