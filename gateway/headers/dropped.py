"""What was taken out of upstreams' answers: a line for each route and header, once, so that nobody searches in vain."""

from __future__ import annotations

from typing import Final

import structlog

MOST_LINES: Final = 50
"""For one route; an upstream that makes names up fills no log."""


class DroppedHeaders:
    """Notes the response headers of one route that go no further."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._noted: set[bytes] = set()
        self._log = structlog.get_logger("vestibule.gateway")

    def note(self, name: bytes) -> None:
        """Leave a line for `name` (lower case), unless there is one."""
        if name in self._noted or len(self._noted) >= MOST_LINES:
            return
        self._noted.add(name)
        self._log.warning("response_header_dropped", route=self._route, header=name.decode("ascii"))
