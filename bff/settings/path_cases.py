"""Find routes whose paths differ only in upper and lower case. Pure.

A program that ignores case takes one for the other. So the front door refuses what could be either as ambiguous, and
one of the two routes would never be reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bff.settings.tables import RouteSettings

ONE_CASE_FIX: Final = "change one: the front door refuses requests to one of them as ambiguous"


def paths_that_differ_in_case(routes: Sequence[RouteSettings]) -> Iterator[tuple[int, str]]:
    """Yield the number of each such route, and the path of one before it. A route without a host is at every host."""
    seen: dict[str, dict[str, str]] = {}
    for number, route in enumerate(routes):
        path, host = route.path.rstrip("/") or "/", route.host.lower()
        known = seen.setdefault(_folded(path), {})
        others = [known[one] for one in known if not host or one in (host, "")]
        if (other := next((one for one in others if one != path), None)) is not None:
            yield number, other
        known.setdefault(host, path)


def _folded(path: str) -> str:
    """Return `path` as `bff.browser.path_readings.fold` does."""
    return path.lower() if path.isascii() else path.upper().lower()
