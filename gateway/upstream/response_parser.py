"""Parse the responses of one upstream connection, one exchange after the other, without I/O (RFC 9112).

llhttp checks the message syntax, in its strict mode. This module decides the rest: what ends the body; that HEAD, 204
and 304 have none; that 1xx responses are skipped and trailers dropped; whether the connection may be used again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from bff.errors import UpstreamFailed
from gateway.headers.request import RawHeaders

MOST_HEAD_BYTES: Final = 65_536


class Framing(Enum):
    """How the end of a response body is found."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    EOF = auto()


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    headers: RawHeaders


class ResponseParser:
    """Parser of one connection: feed bytes, read `head`, `take()` the body until `is_complete`. If `is_reusable`, call
    `begin` for the next exchange."""

    __slots__ = (
        "_chunks",
        "_framing",
        "_head_bytes",
        "_headers",
        "_is_informational",
        "_method",
        "_parser",
        "buffered",
        "head",
        "is_complete",
        "is_expecting",
        "is_reusable",
        "received",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.is_expecting = False
        self.is_complete = False
        self.is_reusable = True
        self.buffered = 0
        self.received = 0
        self.head: ResponseHead | None = None
        self._chunks: list[bytes] = []
        self._headers: RawHeaders = []
        self._head_bytes = 0
        self._is_informational = False
        self._framing = Framing.NONE
        self._method = "GET"

    def begin(self, method: str) -> None:
        """Expect the response to a request with `method`."""
        self._method = method
        self.is_expecting = True
        self.is_complete = False
        self.received = 0
        self.head = None
        self._head_bytes = 0

    def feed(self, data: bytes) -> None:
        """Parse bytes that came from the network.

        Raises:
            UpstreamFailed: `upstream_protocol`.
        """
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise _protocol("switched protocols unasked") from None
        except HttpParserError as exc:
            if isinstance(exc.__context__, UpstreamFailed):
                raise exc.__context__ from None
            if not self.is_complete:
                raise _protocol(type(exc).__name__) from None
            self.is_reusable = False
        if self.head is None and self.received > MOST_HEAD_BYTES:
            raise _protocol("response head too large")

    def finish(self) -> None:
        """Note the end of the stream.

        Raises:
            UpstreamFailed: `upstream_closed`, when the response is not complete.
        """
        self.is_reusable = False
        if self.is_complete:
            return
        if self.head is None or self._framing is not Framing.EOF:
            raise UpstreamFailed("upstream_closed", detail="closed inside a response" if self.received else "closed")
        self._complete()

    def take(self) -> bytes:
        """Return what has arrived of the body, and forget it."""
        if not self._chunks:
            return b""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self.buffered = 0
        return data

    # The callbacks of httptools.

    def on_message_begin(self) -> None:
        if not self.is_expecting or self.is_complete:
            # Bytes after the response, which nobody asked for: they must never answer the next request.
            self.is_reusable = False
        self._headers = []
        self._is_informational = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is not None:
            return  # A trailer.
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MOST_HEAD_BYTES:
            raise _protocol("response head too large")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.head is not None:
            return
        status = self._parser.get_status_code()
        if not 100 <= status <= 599 or self._parser.get_http_version() not in {"1.0", "1.1"}:
            raise _protocol("status or version")
        if status < 200:
            if status == 101:
                raise _protocol("switched protocols unasked")
            self._is_informational = True
            return
        self._framing = body_framing(self._method, status, self._headers)
        self.head = ResponseHead(status, self._headers)
        if self._framing is Framing.EOF:
            self.is_reusable = False
        if self._framing is Framing.NONE:
            # llhttp does not know about HEAD and expects a body when there is a length, so the connection is not used
            # again.
            if self._method == "HEAD" or any(name in _TELLS_A_BODY for name, _ in self._headers):
                self.is_reusable = False
            self._complete()

    def on_body(self, body: bytes) -> None:
        if self.is_complete or self.head is None:
            self.is_reusable = False
            return
        self._chunks.append(body)
        self.buffered += len(body)

    def on_message_complete(self) -> None:
        if self._is_informational:
            return
        if not self._parser.should_keep_alive():
            self.is_reusable = False
        self._complete()

    def _complete(self) -> None:
        self.is_complete = True
        self.is_expecting = False


_TELLS_A_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


def body_framing(method: str, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Framing:
    """Decide what ends the body (RFC 9112 section 6.3).

    Raises:
        UpstreamFailed: `upstream_protocol`, for two framings at once, one framing twice, or an unknown coding.
    """
    lengths = []
    codings = []
    for name, value in headers:
        if name == b"content-length":
            lengths.append(value.strip(b" \t"))
        elif name == b"transfer-encoding":
            codings.append(value.strip(b" \t").lower())
    if len(lengths) + len(codings) > 1 or (codings and codings != [b"chunked"]):
        raise _protocol("ambiguous framing")
    if lengths and not lengths[0].isdigit():
        raise _protocol("Content-Length")
    if method == "HEAD" or status in (204, 304):
        return Framing.NONE
    if codings:
        return Framing.CHUNKED
    return Framing.LENGTH if lengths else Framing.EOF


def check_final(status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check the head of a final response from an application in this process, which no parser has seen.

    Raises:
        UpstreamFailed: `upstream_protocol`, for an interim status or an ambiguous framing.
    """
    if not 200 <= status <= 599:
        raise _protocol("status")
    body_framing("GET", status, headers)


def _protocol(detail: str) -> UpstreamFailed:
    return UpstreamFailed("upstream_protocol", detail=detail)
