"""Check that a path from page code stays inside its route. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_ENCODED_UNSAFE: Final = re.compile(r"%(2f|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
_ROUTE_PATH: Final = re.compile(r"/|(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+/?")


def is_route_path(path: str) -> bool:
    """True if a route can have this path: it is absolute, without empty segments and without dot segments."""
    return bool(_ROUTE_PATH.fullmatch(path)) and not _has_dot_segment(path) and not _ENCODED_UNSAFE.search(path)


def join_route_path(route_path: str, relative: str) -> str:
    """Put `relative` (a path, with or without a query) below `route_path`. One leading slash of `relative` is ignored.

    Raises: ValueError if the result would leave the route, or if two programs could read it in different ways.
    """
    path, mark, query = relative.partition("?")
    if _UNSAFE.search(relative):
        raise ValueError("a path has no backslash and no control character")
    if "#" in relative:
        raise ValueError("a path has no fragment; write # inside a value as %23")
    if "//" in path:
        raise ValueError("give a path below the route, not an address and without empty segments")
    if _ENCODED_UNSAFE.search(path):
        raise ValueError("a path has no encoded slash, backslash or control character")
    if _has_dot_segment(path):
        raise ValueError('a path has no "." and ".." segments')
    return f"{route_path.rstrip('/')}/{path.removeprefix('/')}{mark}{query}"


def _has_dot_segment(path: str) -> bool:
    # Decode until nothing changes: a program behind the front door may decode more often. `;x` is a path parameter,
    # which some servers drop before they resolve the segment.
    decoded, previous = path, ""
    while decoded != previous:
        decoded, previous = unquote(decoded), decoded
    return any(segment.partition(";")[0] in {".", ".."} for segment in re.split(r"[/\\]", decoded))
