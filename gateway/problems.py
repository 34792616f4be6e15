"""Send refusals: an `AuthError` becomes a page or problem+json, for HTTP and for WebSocket handshakes."""

from __future__ import annotations

from starlette.types import Scope, Send

from bff.errors import AuthError
from bff.web.pages import Page

HSTS = (b"strict-transport-security", b"max-age=31536000")


async def send_page(scope: Scope, send: Send, page: Page) -> None:
    """Answer with `page`. A WebSocket handshake is refused with the same status (RFC 6455 section 4.2.2)."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in page.headers]
    headers.append((b"content-length", str(len(page.body)).encode("ascii")))
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": page.status, "headers": headers})
    body = b"" if scope.get("method") == "HEAD" else page.body
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


def redirect_page(location: str, *, status: int = 302) -> Page:
    """Build a redirect to a sign-in, or to a better spelling. It is never cached and sends no referrer."""
    headers = [("location", location), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
    return Page(status, headers, b"")


def status_for_proxies(error: AuthError) -> int:
    """Return what a proxy is told that asked whether a request may pass: 401, 403, 503, or 500 for a fault of ours."""
    if error.status in (401, 403, 503):
        return error.status
    return 403 if error.status < 500 else 503 if error.status < 505 and error.status > 500 else 500


def stamping(send: Send, request_id: str, *, secure: bool) -> Send:
    """Return a `send` that puts our request id on every response, and HSTS on https. It replaces other values."""
    stamps = [(b"x-request-id", request_id.encode("ascii")), *([HSTS] if secure else [])]
    ours = (b"x-request-id", HSTS[0])

    async def stamped(message: dict[str, object]) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            given = message.get("headers", [])
            headers = [header for header in given if header[0] not in ours] if isinstance(given, list) else []
            message = {**message, "headers": [*headers, *stamps]}
        await send(message)

    return stamped  # type: ignore[return-value]  # ASGI messages are mutable mappings there, dicts here
