"""The values of options as oauth2-proxy reads them: switches, lists, durations. Pure."""

from __future__ import annotations

import csv
import re
from typing import Any, Final

Raw = str | bool | int | float | list[Any] | dict[str, Any]

TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False", ""})
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")


def read_text(raw: Raw) -> str:
    """Read a text.

    Raises:
        ValueError: a list or a table.
    """
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, list | dict):
        raise ValueError("one value is expected here")
    return str(raw).strip()


def read_flag(raw: Raw) -> bool:
    """Read a switch.

    Raises:
        ValueError: anything but true and false in their usual spellings.
    """
    text = read_text(raw)
    if text not in TRUE | FALSE:
        raise ValueError("is neither true nor false")
    return text in TRUE


def read_list(raw: Raw) -> tuple[str, ...]:
    """Read a list, or a text with commas. An item in double quotes may hold commas.

    Raises:
        ValueError: a list in a list, or a text with a line end.
    """
    if isinstance(raw, list):
        return tuple(item for one in raw if (item := read_text(one)))
    try:
        rows = list(csv.reader([read_text(raw)], skipinitialspace=True))
    except csv.Error:
        raise ValueError("is no list with commas") from None
    return tuple(item for row in rows for one in row if (item := one.strip()))


def read_seconds(raw: Raw) -> float:
    """Read a duration such as `1h30m` as seconds. A bare number is nanoseconds, as in Go; only 0 makes sense.

    Raises:
        ValueError: no duration.
    """
    text = read_text(raw)
    if re.fullmatch(r"[0-9]+", text):
        return int(text) * 1e-9
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("is no duration such as 90s or 168h0m0s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def read_number(raw: Raw) -> int:
    """Read a whole number.

    Raises:
        ValueError: no whole number.
    """
    text = read_text(raw)
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError("is no whole number")
    return int(text)
