"""Read the regular expressions of `skip_auth_routes` that name plain paths, and refuse all others. Pure.

A pattern that is not read exactly would open more than it says, or something else. So whatever is not a plain path, a
plain beginning of paths, or a choice among such, is left out: that path then asks people to sign in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MOST_PATHS: Final = 24
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]|\\[./_~-]")
"""A bare dot means any sign in a pattern. It is read as a plain dot, which opens less."""
_REST: Final = ("/.*$", "/.*", "/(.*)$", "/(.*)")
_ANYTHING: Final = (".*$", ".*", "(.*)$", "(.*)")


@dataclass(frozen=True, slots=True)
class PlainPath:
    """A path, `is_exact` if nothing below it is meant."""

    path: str
    is_exact: bool


def read_pattern(pattern: str) -> tuple[PlainPath, ...]:
    """Return the paths that `pattern` matches; none if it is not plain enough to say so exactly.

    A beginning that is no whole segment (`^/pub`) is returned as that segment: this is less than the pattern opens.
    """
    if not pattern.startswith("^/"):
        return ()
    body, is_exact, ends_segment = _without_end(pattern[1:])
    texts = _expand(body)
    if not texts or any(not one.startswith("/") for one in texts):
        return ()
    found = []
    for text in texts:
        whole = text + "/" if ends_segment else text
        if not _is_canonical(whole):
            return ()
        found.append(PlainPath(whole, is_exact))
    return tuple(found)


def _without_end(body: str) -> tuple[str, bool, bool]:
    """Split off the end: return what is before it, whether it is exact, and whether a slash belongs to it."""
    for end in _REST:
        if body.endswith(end):
            return body[: -len(end)], False, True
    for end in _ANYTHING:
        if body.endswith(end):
            return body[: -len(end)], False, False
    if body.endswith("$") and not body.endswith("\\$"):
        return body[:-1], True, False
    return body, False, False


def _expand(body: str) -> list[str]:
    """Write out choices such as `(a|b)` and `(/x)?`; an empty list if `body` holds anything else than plain text."""
    texts, at = [""], 0
    while at < len(body):
        if body[at] == "(":
            close = body.find(")", at)
            options = body[at + 1 : close].removeprefix("?:").split("|") if close > 0 else []
            choices = [_literal(one) for one in options]
            at = close + 1
        else:
            piece = _PLAIN.match(body, at)
            options = [piece[0]] if piece else []
            choices = [_literal(one) for one in options]
            at += len(piece[0]) if piece else 1
        if not choices or None in choices:
            return []
        is_optional = body.startswith("?", at)
        at += is_optional
        wanted = ([""] if is_optional else []) + [one or "" for one in choices]
        texts = [text + one for text in texts for one in wanted]
        if len(texts) > MOST_PATHS:
            return []
    return list(dict.fromkeys(texts))


def _literal(text: str) -> str | None:
    """Return what a plain piece of a pattern matches, None if it is not plain."""
    pieces, at = [], 0
    while at < len(text):
        piece = _PLAIN.match(text, at)
        if piece is None:
            return None
        pieces.append(piece[0].removeprefix("\\"))
        at = piece.end()
    return "".join(pieces)


def _is_canonical(path: str) -> bool:
    segments = path.split("/")[1:]
    return "//" not in path and not any(one in (".", "..") for one in segments)
