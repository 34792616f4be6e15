"""Log which headers were removed from upstreams' answers: one line for each route and header, to save a search."""

from __future__ import annotations

from typing import Final

import structlog

MOST_LINES: Final = 50
"""The most names for one route: an upstream that invents names cannot fill the log."""


class DroppedHeaders:
    """Logs the response headers of one route that are not passed on."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._noted: set[bytes] = set()
        self._log = structlog.get_logger("vestibule.gateway")

    def note(self, name: bytes) -> None:
        """Write a line for `name` (lower case), unless there is one already."""
        if name in self._noted or len(self._noted) >= MOST_LINES:
            return
        self._noted.add(name)
        self._log.warning("response_header_dropped", route=self._route, header=name.decode("ascii"))
