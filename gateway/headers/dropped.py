"""Log what was removed from upstreams' answers, to save a search: headers once, cookies at most once a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from gateway.headers.cookies import RefusedCookie

MOST_LINES: Final = 50
"""The most names for one route: an upstream that invents names cannot fill the log."""
COOKIE_SECONDS: Final = 60.0
"""A cookie that is refused again and again leaves a line this often, and so many names at most `MOST_LINES`."""
_LONGEST_TEXT: Final = 100


class DroppedHeaders:
    """Logs the response headers and the cookies of one route that are not passed on. Values are never logged."""

    def __init__(self, route: str, *, monotonic: Callable[[], float]) -> None:
        self._route = route
        self._monotonic = monotonic
        self._noted: set[bytes] = set()
        self._cookies: dict[bytes, float] = {}
        self._log = structlog.get_logger("vestibule.gateway")

    def note(self, name: bytes) -> None:
        """Write a line for `name` (lower case), unless there is one already."""
        if name in self._noted or len(self._noted) >= MOST_LINES:
            return
        self._noted.add(name)
        self._log.warning("response_header_dropped", route=self._route, header=name.decode("ascii"))

    def note_cookie(self, refused: RefusedCookie) -> None:
        """Write a line for a refused cookie, unless there was one for this name within the last minute."""
        now = self._monotonic()
        name = refused.name[:_LONGEST_TEXT]
        if now - self._cookies.get(name, -COOKIE_SECONDS) < COOKIE_SECONDS:
            return
        if len(self._cookies) >= MOST_LINES:
            self._cookies = {known: at for known, at in self._cookies.items() if now - at < COOKIE_SECONDS}
        if len(self._cookies) >= MOST_LINES:
            return
        self._cookies[name] = now
        where = {"domain": _text(refused.domain)} if refused.domain else {}
        self._log.warning(
            "response_cookie_dropped", route=self._route, cookie=_text(name), reason=refused.reason, **where
        )


def _text(raw: bytes) -> str:
    return raw[:_LONGEST_TEXT].decode("utf-8", "backslashreplace")
