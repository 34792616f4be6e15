"""All the ways in which programs read one request path. Pure.

A front door, a proxy and an application read the same bytes in different ways: one decodes twice, one removes `;…`, one
takes `\\` for `/`. A *reading* is what a path becomes under some combination of these habits. `readings` returns all of
them, so that a rule can ask whether every reader finds the same place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Final

DECODINGS: Final = 3
MOST_READINGS: Final = 256
MOST_CHARACTERS: Final = 200_000
"""Limits of the work for one path: how many readings, and how many characters they have together."""

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
DOT_SEGMENT: Final = re.compile(r"(?:\A|/)\s*\.+\s*(?=/|\Z)")
"""`.`, `..`, and more dots, which some file systems read as these. White space around them does not count."""
_PARAMETERS: Final = re.compile(r";[^/]*")
_EMPTY_SEGMENTS: Final = re.compile(r"//+")
_EDGES: Final = re.compile(r"(?<![\s.])[\s.]++(?=/|\Z)|(?<=/)\s++")
_ESCAPES: Final = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_ENCODED_SLASH: Final = re.compile(r"(%(?:2[Ff]|5[Cc]))")


class TooManyReadings(Exception):
    """A path has too many readings to check them all."""


def decode(path: str) -> str:
    """Decode each escape once. A broken escape stays, and so does a byte that is not UTF-8, as a surrogate."""
    if "%" not in path:
        return path
    raw = _ESCAPES.sub(_octets, path.encode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")


def fold(path: str) -> str:
    """Return `path` in the form in which two paths are equal for a reader that ignores case."""
    return path.lower() if path.isascii() else path.upper().lower()


def readings(raw_path: str) -> set[str]:
    """Return the readings of `raw_path` that are decoded at least once; case is left as it is (see `fold`).

    Every combination and order of: decoding, up to three times; NFKC; `\\` as `/`; `//` merged; `;…` removed from each
    segment; cut at a decoded `?` or `#`; white space and dots removed from the edges of segments, as file systems do.

    Raises:
        TooManyReadings: they cannot all be looked at.
    """
    seen = {(raw_path, 0)}
    open_ends = [(raw_path, 0)]
    characters = 0
    while open_ends:
        path, decoded = open_ends.pop()
        for further in _steps(path, decoded):
            if further in seen:
                continue
            seen.add(further)
            characters += len(further[0])
            if len(seen) > MOST_READINGS or characters > MOST_CHARACTERS:
                raise TooManyReadings
            open_ends.append(further)
    return {path for path, decoded in seen if decoded or "%" not in path}


def _octets(escapes: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escapes[0].replace(b"%", b"").decode("ascii"))


def _steps(path: str, decoded: int) -> list[tuple[str, int]]:
    """Return what one more habit makes of `path`, with the number of decodings."""
    found = [(changed, decoded) for habit in _HABITS if (changed := habit(path)) != path]
    if decoded < DECODINGS and "%" in path:
        found.append((decode(path), decoded + 1))
        if _ENCODED_SLASH.search(path):
            found.append((_decode_but_slashes(path), decoded + 1))
    if decoded or "%" not in path:
        found += [(path[:end], decoded) for mark in "?#" if (end := path.find(mark)) >= 0]
    return found


def _decode_but_slashes(path: str) -> str:
    """Decode as programs do that split the path first: an encoded slash is part of a name."""
    parts = _ENCODED_SLASH.split(path)
    return "".join(part if index % 2 else decode(part) for index, part in enumerate(parts))


def _compatible(path: str) -> str:
    return path if path.isascii() else unicodedata.normalize("NFKC", path)


_HABITS: Final[Sequence[Callable[[str], str]]] = (
    _compatible,
    lambda path: path.replace("\\", "/"),
    lambda path: _EMPTY_SEGMENTS.sub("/", path) if "//" in path else path,
    lambda path: _PARAMETERS.sub("", path) if ";" in path else path,
    lambda path: _EDGES.sub("", path),
)
