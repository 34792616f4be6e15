"""HTTP answers of the `/auth` application: pages, redirects and JSON, with exactly the given headers."""

from __future__ import annotations

import json
from typing import Literal

from starlette.responses import Response

from bff.web.pages import Page

NO_STORE = ("cache-control", "no-store")


def respond(page: Page, *, cookies: list[str] | None = None) -> Response:
    """Send `page` with Set-Cookie values. Header names and values are sent as they are."""
    response = Response(page.body, page.status)
    headers = page.headers + [("set-cookie", cookie) for cookie in cookies or ()]
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    response.raw_headers.append((b"content-length", str(len(page.body)).encode()))
    return response


def redirect(
    status: Literal[302, 303],
    location: str,
    *,
    cookies: list[str] | None = None,
    headers: list[tuple[str, str]] | None = None,
) -> Response:
    """Send the browser to `location`. The answer is not cached, and the browser sends no referrer."""
    own = [("location", location), NO_STORE, ("referrer-policy", "no-referrer")]
    return respond(Page(status, own + (headers or []), b""), cookies=cookies)


def answer_json(value: object, headers: list[tuple[str, str]] | None = None) -> Response:
    """Answer 200 with `value`. Without `headers` it is not cached."""
    body = json.dumps(value, separators=(",", ":")).encode()
    plain = [("content-type", "application/json"), ("x-content-type-options", "nosniff")]
    return respond(Page(200, plain + (headers or [NO_STORE]), body))
