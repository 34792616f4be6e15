"""Reading ASGI WebSocket messages, and closing the client's side: shared by the relay and the in-process upstream."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Message, Scope, Send

CLOSE_EXTENSION: Final = "vestibule.close"
"""Scope extension of the server: `(code, reason)` writes a close frame past flow control and soon cuts the connection.

Without it a browser that does not read is told nothing but the end of its connection.
"""
_GRACE_SECONDS: Final = 2.0


async def close_client(scope: Scope, send: Send, *, code: int, reason: str) -> None:
    """Send a close frame; a browser that takes none loses its connection when the application returns."""
    close_now = (scope.get("extensions") or {}).get(CLOSE_EXTENSION)
    if close_now is not None:
        close_now(code, reason)
        return
    try:
        async with asyncio.timeout(_GRACE_SECONDS):
            await send({"type": "websocket.close", "code": code, "reason": reason})
    except (OSError, TimeoutError):
        return


def payload(message: Message) -> bytes | str:
    data: bytes | None = message.get("bytes")
    if data is not None:
        return data
    text: str = message.get("text") or ""
    return text


def is_larger(data: bytes | str, limit: int) -> bool:
    """Compare UTF-8 bytes, without encoding where the length alone decides."""
    if isinstance(data, bytes) or len(data) > limit or 4 * len(data) <= limit:
        return len(data) > limit
    return len(data.encode()) > limit


def is_sendable(code: int) -> bool:
    """True for codes that may stand in a close frame (RFC 6455 section 7.4)."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
