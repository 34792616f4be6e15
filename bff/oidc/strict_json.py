"""Read a JSON object strictly: no duplicate names, no NaN, limited size and depth."""

from __future__ import annotations

import json
import re
from typing import Any

from bff.errors import InvalidToken

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the start of an unfinished one. Every quote matches, so none is tried again and again (linear time)."""
_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def parse_object(body: bytes, *, code: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object in `body` (UTF-8).

    Raises:
        InvalidToken: `code`, for everything else: another type, duplicate names, NaN, too large, too deep.
    """
    if len(body) > max_bytes:
        raise InvalidToken(code, detail="larger than allowed")
    if not _is_flat_enough(body):
        raise InvalidToken(code, detail="nested too deep, or brackets that do not match")
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidToken(code, detail="not a JSON object") from None
    if not isinstance(value, dict):
        raise InvalidToken(code, detail="not a JSON object")
    return value


def _is_flat_enough(body: bytes) -> bool:
    """True if brackets outside strings are at most `MAX_DEPTH` deep. Each round removes the innermost pairs."""
    brackets = _STRINGS.sub(b"", body).translate(_AS_BRACKETS, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate name")
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
