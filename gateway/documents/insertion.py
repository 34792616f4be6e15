"""Insert a script into an HTML document while it passes, at the start of its `<head>`, before the page's own scripts.

A document whose head (`gateway.documents.head_tag`) or encoding is in doubt stays as it is, with all its bytes and
headers. So a document with a stated length waits, with its headers, until this is decided. The headers of a streamed
document are sent at once, without those that describe the original document.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape
from typing import Final

from gateway.documents.head_tag import BYTE_ORDER_MARK, HeadTag
from gateway.documents.text_encodings import Family, family_of
from gateway.headers.request import RawHeaders

LOOK_AHEAD: Final = 65_536
"""The `<head>` tag must end within this many bytes. A document without one passes unchanged."""
SCANNED: Final = 1024
"""Browsers look for an encoding in this many bytes of a document, if its headers name none."""
_DESCRIPTIONS: Final = frozenset(
    {
        b"accept-ranges",
        b"cache-control",
        b"content-digest",
        b"content-length",
        b"content-md5",
        b"digest",
        b"etag",
        b"last-modified",
        b"repr-digest",
        b"signature",
        b"signature-input",
    }
)
"""Headers that are true only for the original document; `Cache-Control` is set again."""
_NO_STORE: Final = (b"cache-control", b"no-store")
_SHIFTS: Final = re.compile(rb"[\x0e\x0f\x1b]")
"""Bytes with which ISO 2022 encodings switch away from ASCII."""
_NAMED_FIRST: Final = re.compile(
    rb"""[\t\n\f\r ]*<meta[\t\n\f\r ]+charset=(?:utf-8|"utf-8"|'utf-8')[\t\n\f\r ]*/?>""", re.IGNORECASE
)
_NAMES: Final = re.compile(rb"""(?:charset|encoding)[\t\n\f\r ]*=[\t\n\f\r "']*([^\t\n\f\r "'/>;?]*)""", re.IGNORECASE)
_CHARSET: Final = re.compile(rb"charset[^>]*>?", re.IGNORECASE)


class HeadInserter:
    """A `BodyTransform` that inserts `snippet` after a document's head start tag, or changes nothing at all.

    `headers` are the document's own. `family` is that of the encoding that its headers name, None if they name none.
    `on_left_alone` is called with the reason why nothing was inserted: `no_head` or `encoding`.
    """

    __slots__ = ("_family", "_head", "_is_done", "_on_left_alone", "_own_headers", "_snippet", "headers")

    def __init__(
        self,
        snippet: bytes,
        headers: RawHeaders,
        *,
        family: Family | None,
        on_left_alone: Callable[[str], None],
    ) -> None:
        self._snippet = snippet
        self._own_headers = headers
        self._family = family
        self._on_left_alone = on_left_alone
        self._head = HeadTag()
        self._is_done = False
        states_length = stated_length(headers) is not None
        self.headers: RawHeaders | None = None if states_length else document_headers(headers, added=len(snippet))

    def feed(self, data: bytes) -> bytes:
        """Return what can be sent on: nothing during the search for the head, everything after it."""
        if self._is_done:
            return data
        room = LOOK_AHEAD - len(self._head.buffer)
        self._head.feed(data[:room])
        return self._decide(is_last=len(data) >= room) + (data[room:] if self._is_done else b"")

    def finish(self) -> bytes:
        """Return what was held back of a document that ended before the decision."""
        return b"" if self._is_done else self._decide(is_last=True)

    def _decide(self, *, is_last: bool) -> bytes:
        head = self._head
        if head.state == "none" or (head.state == "reading" and is_last):
            return self._leave_alone("no_head")
        if head.state == "reading":
            return b""
        if self._family is None and not head.buffer.startswith(BYTE_ORDER_MARK):
            if is_named_first(head, added=len(self._snippet)):
                return self._insert()
            if len(head.buffer) < SCANNED and not is_last:
                return b""
            doubt = is_encoding_in_doubt(head, added=len(self._snippet))
        else:
            doubt = self._family == "multi-byte" and not head.buffer[: head.end].isascii()
        return self._leave_alone("encoding") if doubt else self._insert()

    def _insert(self) -> bytes:
        held, end = self._head.buffer, self._head.end
        if self.headers is None:
            self.headers = document_headers(self._own_headers, added=len(self._snippet))
        return self._release(b"".join((held[:end], self._snippet, held[end:])))

    def _leave_alone(self, reason: str) -> bytes:
        if self.headers is None:
            self.headers = self._own_headers
        self._on_left_alone(reason)
        return self._release(bytes(self._head.buffer))

    def _release(self, data: bytes) -> bytes:
        self._is_done = True
        self._head = HeadTag()
        return data


def is_named_first(head: HeadTag, *, added: int) -> bool:
    """True if a document names UTF-8 directly after its head tag, early enough even with `added` bytes before it. This
    is the usual case, and no more of the document is needed to decide."""
    meta = _NAMED_FIRST.match(head.buffer, head.end)
    return meta is not None and meta.end() + added <= SCANNED and _is_plain(head)


def is_encoding_in_doubt(head: HeadTag, *, added: int) -> bool:
    """True if `added` bytes of ASCII in a document's head could change how it is decoded, or be read as other text.

    This is so if the document names an encoding that is not known to contain ASCII. It is also so if the document names
    its encoding so late that the added bytes could push it out of the first 1024, where browsers look.
    """
    window = bytes(head.buffer[:SCANNED])
    if not _is_plain(head) or _SHIFTS.search(window):
        return True
    if any(family_of(name.decode("latin-1")) is None for name in _NAMES.findall(window)):
        return True
    return any(match.end() + added > SCANNED for match in _CHARSET.finditer(window))


def _is_plain(head: HeadTag) -> bool:
    """True if the text before the head's end is the same in every encoding that contains ASCII."""
    before = bytes(head.buffer[: head.end])
    try:
        before.decode()
    except UnicodeDecodeError:
        return False
    return _SHIFTS.search(before) is None


def build_script_tag(src: str, *, nonce: str = "") -> bytes:
    """Build a script tag that loads `src`."""
    allowed = f' nonce="{escape(nonce)}"' if nonce else ""
    return f'<script src="{escape(src)}"{allowed}></script>'.encode()


def document_headers(headers: RawHeaders, *, added: int) -> RawHeaders:
    """Remove the headers that are wrong after `added` bytes were inserted. Set the new length if there was a length."""
    length = stated_length(headers)
    kept = [(name, value) for name, value in headers if name not in _DESCRIPTIONS]
    changed = [_NO_STORE] if length is None else [_NO_STORE, (b"content-length", b"%d" % (length + added))]
    return [*kept, *changed]


def stated_length(headers: RawHeaders) -> int | None:
    """Read `Content-Length`. None unless there is exactly one, and it is a number."""
    values = [value.strip(b" \t") for name, value in headers if name == b"content-length"]
    return int(values[0]) if len(values) == 1 and values[0].isdigit() else None
