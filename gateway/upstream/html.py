"""Write a script into an HTML document while it passes: first in its `<head>`, before any script of the page.

The document grows, so its `Content-Length`, `ETag` and `Last-Modified` are dropped and it goes on chunked
(`document_headers`); the request for it must ask for the whole, uncompressed (`headers.without_conditionals`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final

from gateway.headers import RawHeaders, header_value

LOOK_AHEAD: Final = 65_536
"""Bytes in which the `<head>` must appear; a document without one passes untouched."""
_TAG_END: Final = re.compile(rb"""[^"'>]*(?:(?:"[^"]*"|'[^']*')[^"'>]*)*>""")
_AFTER_NAME: Final = b" \t\r\n\f/>"
_DROPPED: Final = frozenset({b"content-length", b"etag", b"last-modified", b"accept-ranges"})


class HeadInserter:
    """A `BodyTransform` that puts `snippet` behind the first `<head …>` that is not in a comment."""

    __slots__ = ("_held", "_is_done", "_scanned", "_snippet")

    def __init__(self, snippet: bytes) -> None:
        self._snippet = snippet
        self._held = b""
        self._scanned = 0
        self._is_done = False

    def feed(self, data: bytes) -> bytes:
        """Give what may go on: nothing while the head is looked for, everything after."""
        if self._is_done:
            return data
        self._held += data
        position = self._find_head()
        if position is not None:
            return self._release(self._held[:position] + self._snippet + self._held[position:])
        if len(self._held) > LOOK_AHEAD:
            return self._release(self._held)
        return b""

    def finish(self) -> bytes:
        """Give what was held back of a document that ended before its head."""
        return self._release(self._held)

    def _release(self, data: bytes) -> bytes:
        self._is_done = True
        self._held = b""
        return data

    def _find_head(self) -> int | None:
        """Find the offset behind the head's start tag; remembers where to go on when more must arrive."""
        while (start := self._held.find(b"<", self._scanned)) >= 0:
            self._scanned = start
            rest = self._held[start : start + 6].lower()
            if rest.startswith(b"<!--"):
                end = self._held.find(b"-->", start + 4)
                if end < 0:
                    return None
                self._scanned = end + 3
            elif rest.startswith(b"<head") and rest[5:] and rest[5:] in _AFTER_NAME:
                tag = _TAG_END.match(self._held, start + 5)
                return tag.end() if tag else None
            elif b"<head".startswith(rest) or b"<!--".startswith(rest):
                return None
            else:
                self._scanned = start + 1
        self._scanned = len(self._held)
        return None


def build_script_tag(src: str, *, nonce: str = "") -> bytes:
    """Build the tag that loads `src`."""
    allowed = f' nonce="{escape(nonce)}"' if nonce else ""
    return f'<script src="{escape(src)}"{allowed}></script>'.encode()


def is_html_document(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a whole, uncompressed HTML response."""
    given = list(headers)
    content_type = (header_value(given, b"content-type") or b"").partition(b";")[0].strip().lower()
    encoding = (header_value(given, b"content-encoding") or b"identity").strip().lower()
    return content_type == b"text/html" and encoding == b"identity" and status not in (204, 206, 304)


def document_headers(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Drop what described the document before the script was in it."""
    return [(name, value) for name, value in headers if name not in _DROPPED]
