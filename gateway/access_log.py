"""One line per request: method, path without query, status, milliseconds, route, client, request id."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from starlette.types import Message, Scope, Send

from bff.audit import clean


@dataclass(slots=True)
class WatchedSend:
    """`send` that remembers the status it sent: 0 before an answer, 101 for an opened WebSocket."""

    inner: Send
    status: int = 0
    further: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Headers to put on whatever answer is sent."""

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            if self.further:
                message = {**message, "headers": [*message.get("headers", []), *self.further]}
        elif kind == "websocket.accept":
            self.status = 101
        await self.inner(message)


class AccessLog:
    """The log `vestibule.access`. Query strings never appear: codes and state travel in them."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._log = structlog.get_logger("vestibule.access")

    def watching(self, send: Send) -> WatchedSend:
        return WatchedSend(send)

    def write(self, scope: Scope, client: str, request_id: str, route: str, status: int, seconds: float) -> None:
        if not self._enabled:
            return
        self._log.info(
            "request",
            method="WS" if scope["type"] == "websocket" else scope["method"],
            path=clean(scope.get("raw_path", b"").decode("latin-1")),
            status=status,
            ms=round(seconds * 1000, 1),
            route=route,
            client=client,
            request_id=request_id,
        )
