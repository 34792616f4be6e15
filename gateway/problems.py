"""Refusals on the wire: an `AuthError` becomes a page or problem+json, on HTTP and before a WebSocket opens."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from bff.csrf import FetchMetadata
from bff.pages import Page

HSTS = (b"strict-transport-security", b"max-age=31536000")
LINGER_SECONDS = 1.0
LINGER_BYTES = 16_777_216


def wants_page(fetch: FetchMetadata, headers: list[tuple[bytes, bytes]]) -> bool:
    """True for a navigation; clients without fetch metadata are told apart by `Accept`."""
    if fetch.mode:
        return fetch.is_navigation
    return any(name == b"accept" and b"text/html" in value for name, value in headers)


async def send_page(scope: Scope, send: Send, page: Page) -> None:
    """Answer with `page`; a WebSocket handshake is refused with the same status (RFC 6455 section 4.2.2)."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in page.headers]
    headers.append((b"content-length", str(len(page.body)).encode("ascii")))
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": page.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


async def send_last_page(scope: Scope, receive: Receive, send: Send, page: Page) -> None:
    """Answer with `page` and end the connection, although the client is still sending its body.

    A little more of the body is read, so that the client gets to the answer before the end (RFC 9112 section 9.6).
    """
    closing = Page(page.status, [*page.headers, ("connection", "close")], page.body)

    async def send_but_stay(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    await send_page(scope, send_but_stay, closing)
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            await _read_away(receive, at_most=LINGER_BYTES)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_away(receive: Receive, *, at_most: int) -> None:
    more = True
    while more and at_most > 0:
        message = await receive()
        at_most -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


def redirect_page(location: str) -> Page:
    """302 to a sign-in: never cached, and no referrer leaves with it."""
    headers = [("location", location), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
    return Page(302, headers, b"")


def stamping(send: Send, request_id: str, *, secure: bool) -> Send:
    """`send` that puts our request id, and HSTS on https, on every response, each once and nobody else's."""
    stamps = [(b"x-request-id", request_id.encode("ascii")), *([HSTS] if secure else [])]
    ours = (b"x-request-id", HSTS[0])

    async def stamped(message: dict[str, object]) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            given = message.get("headers", [])
            headers = [header for header in given if header[0] not in ours] if isinstance(given, list) else []
            message = {**message, "headers": [*headers, *stamps]}
        await send(message)

    return stamped  # type: ignore[return-value]  # ASGI messages are mutable mappings there, dicts here
