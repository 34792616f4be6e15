"""Answers without a length for HTTP/1.0 clients, who know no chunks: the end of the connection ends the body.

RFC 9112 section 6.1 forbids chunks to them, section 6.3 says what holds instead. nginx asks upstreams in HTTP/1.0 by
default before version 1.29. Because a clean end means a whole body there, an answer that breaks off is reset.
"""

from __future__ import annotations

import sys
from typing import cast

from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

OLD = "1.0"
WITHOUT_BODY = (204, 304)


def without_chunks(cycle: RequestResponseCycle, message: ASGISendEvent) -> ASGISendEvent:
    """`message` as the HTTP/1.0 client of `cycle` can read it. Uvicorn is told the length once it is known."""
    if message["type"] == "http.response.start":
        return _begin(cycle, message)
    if message["type"] == "http.response.body" and is_close_delimited(cycle) and not message.get("more_body", False):
        cycle.expected_content_length = len(message.get("body", b""))
    return message


def is_close_delimited(cycle: RequestResponseCycle) -> bool:
    """True once an answer has begun whose end is that of its connection."""
    return cycle.chunked_encoding is False and cycle.expected_content_length > sys.maxsize


def _begin(cycle: RequestResponseCycle, message: HTTPResponseStartEvent) -> ASGISendEvent:
    headers = [(name, value) for name, value in message.get("headers", []) if name.lower() != b"transfer-encoding"]
    has_length = any(name.lower() == b"content-length" for name, _ in headers)
    if not has_length and cycle.scope["method"] != "HEAD" and message["status"] not in WITHOUT_BODY:
        cycle.chunked_encoding = False
        cycle.expected_content_length = 2 * sys.maxsize  # Uvicorn takes from it what it sends
    return cast(ASGISendEvent, {**message, "headers": headers})
