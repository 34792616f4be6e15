"""One line per request: method, path without query, status, milliseconds, route, client, request id, error code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import structlog
from starlette.types import Message, Scope, Send

from bff import contract
from bff.audit import clean
from bff.browser.unasked import PATHS
from gateway.headers.caching import vary_by
from gateway.headers.request import RawHeaders
from gateway.masked_paths import mask_path

PROBED_BELOW_A_PAGE = re.compile(rb"/.+/_stcore/(?:health|host-config)")
"""Where Streamlit's script looks for its server when a page is opened by its own address: it starts below the page's
path, gets 404 and goes one up. Nobody can do anything about these."""
ASKED_BY_OPEN_PAGES = (b"/_stcore/health", b"/_stcore/host-config")
"""What Streamlit's script asks by itself, also after a sign-out."""
WHO_IS_THERE = contract.PATH_SESSION.encode()
"""Below our own path. The session-end script asks this too, and "nobody" is a usual answer."""
UNASKED = tuple(path.encode() for path in PATHS)
FIRST_REFUSAL = 400
OWN_ROUTE = "auth"
"""What the log calls our own endpoints."""


@dataclass(slots=True)
class WatchedSend:
    """A `send` that remembers the status it sent: 0 before an answer, 101 for an opened WebSocket."""

    inner: Send
    status: int = 0
    route: str = ""
    """The id of the route, known before anything is decided: a refused request keeps it."""
    code: str = ""
    """The code with which this front door refused; "" if it did not, or if the application refused."""
    further: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Headers to add to every answer."""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            if self.further:
                message = {**message, "headers": _with_further(message.get("headers", []), self.further)}
        elif kind == "websocket.accept":
            self.status = 101
        await self.inner(message)

    def note_refusal(self, code: str) -> None:
        """Note the code of a refusal. The code that renders a refusal calls this."""
        self.code = code


class AccessLog:
    """The log `vestibule.access`. It never shows query strings, because they can hold codes and state.

    Of an address that gives access by itself, it shows only the beginning (`gateway.masked_paths`).

    `enabled="refused"` is for development: only what was refused or failed, without those that Streamlit
    and our own script expect.
    """

    def __init__(self, *, enabled: bool | Literal["refused"]) -> None:
        self._enabled = enabled
        self._log = structlog.get_logger("vestibule.access")

    def watching(self, send: Send) -> WatchedSend:
        return WatchedSend(send)

    def write(
        self, scope: Scope, client: str, request_id: str, route: str, status: int, seconds: float, *, code: str = ""
    ) -> None:
        if not self._enabled or (self._enabled == "refused" and _is_usual(scope, status, code=code, route=route)):
            return
        self._log.info(
            "request",
            method="WS" if scope["type"] == "websocket" else scope["method"],
            path=clean(mask_path(scope.get("raw_path", b"").decode("latin-1"))),
            status=status,
            ms=round(seconds * 1000, 1),
            route=route,
            client=client,
            request_id=request_id,
            **({"code": code} if code else {}),
        )


def _with_further(headers: Iterable[tuple[bytes, bytes]], further: RawHeaders) -> RawHeaders:
    """Return both lists as one, with one `Vary`."""
    varies = [value for name, value in further if name == b"vary"]
    return vary_by([*headers, *(header for header in further if header[0] != b"vary")], *varies)


def _is_usual(scope: Scope, status: int, *, code: str, route: str) -> bool:
    """No refusal, or one that comes with every deep link, every sign-out or every browser."""
    path: bytes = scope.get("raw_path", b"")
    if status == 404 and (PROBED_BELOW_A_PAGE.fullmatch(path) or path.endswith(UNASKED)):
        return True
    if code == "login_required" and path.endswith(WHO_IS_THERE if route == OWN_ROUTE else ASKED_BY_OPEN_PAGES):
        return True
    return status < FIRST_REFUSAL
