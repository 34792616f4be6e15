"""Read ASGI WebSocket messages, and close the client's side. The relay and the in-process upstream share this."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Message, Scope, Send

CLOSE_EXTENSION: Final = "vestibule.close"
"""A scope extension of the server: a function `(code, reason)` that sends a close frame although the client may not be
reading, and cuts the connection soon after.

Without it, a browser that does not read would see only that its connection ended.
"""
_GRACE_SECONDS: Final = 2.0


async def close_client(scope: Scope, send: Send, *, code: int, reason: str) -> None:
    """Send a close frame. A browser that does not read it loses its connection when the application returns."""
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
    """Compare the size in UTF-8 bytes. Encode the text only if its length does not decide."""
    if isinstance(data, bytes) or len(data) > limit or 4 * len(data) <= limit:
        return len(data) > limit
    return len(data.encode()) > limit


def is_sendable(code: int) -> bool:
    """True for codes that a close frame may carry (RFC 6455 section 7.4)."""
    return code in (1000, 1001, 1002, 1003) or 1007 <= code <= 1014 or 3000 <= code <= 4999
