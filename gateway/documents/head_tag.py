"""Find the end of a document's head start tag, as a browser's HTML parser does. Pure; reads piece by piece.

Only these may come before the head tag: a byte order mark, blanks, comments of every form, doctypes and `<html …>`. At
anything else a parser makes a head itself, so the search ends without a result. The states are those of the WHATWG HTML
Standard, sections 13.2.5 (tokenizer) and 13.2.6.4.1 to 13.2.6.4.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MOST_STEPS: Final = 4096
"""The search stops after this many constructs (comments, tags, names, values)."""
_BLANKS: Final = re.compile(rb"[\t\n\f\r ]*")
_BLANKS_AND_SLASHES: Final = re.compile(rb"[\t\n\f\r /]*")
_REST_OF_NAME: Final = re.compile(rb"[^\t\n\f\r />=]*")
_REST_OF_VALUE: Final = re.compile(rb"[^\t\n\f\r >]*")
_COMMENT_END: Final = re.compile(rb"--!?>")
_OPENING: Final = re.compile(rb"(<html|<head)[\t\n\f\r />]|(<!--)|(<[!?])", re.IGNORECASE)
_OPENING_CUT_SHORT: Final = re.compile(rb"<(?:!-?|h(?:t(?:ml?)?|e(?:ad?)?)?)?", re.IGNORECASE)


class HeadTag:
    """Reads a document from its beginning. When `state` is "found", `end` is the offset after `<head …>`.

    Each byte is read a limited number of times, even if the document comes in very small pieces.
    """

    __slots__ = ("_at", "_is_head", "_step", "_steps", "buffer", "end", "state")

    def __init__(self) -> None:
        self.buffer = bytearray()
        """Everything that was fed."""
        self.state: Literal["reading", "found", "none"] = "reading"
        self.end = 0
        self._at = 0
        self._steps = 0
        self._is_head = False
        self._step: Callable[[HeadTag], bool] = HeadTag._read_start

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.buffer += data
        while self.state == "reading" and self._step(self):
            self._steps += 1
            if self._steps > MOST_STEPS:
                self.state = "none"

    # The states. Each returns True when it has reached its end, and False when it needs more bytes.

    def _read_start(self) -> bool:
        start = self.buffer[:3]
        if len(start) < 3 and BYTE_ORDER_MARK.startswith(start):
            return False
        if start == BYTE_ORDER_MARK:
            self._at = 3
        return self._go(HeadTag._between)

    def _between(self) -> bool:
        """Read between constructs: only blanks, and the start of a construct that may come before a head."""
        if self._skip(_BLANKS) is None:
            return False
        opening = bytes(self.buffer[self._at : self._at + 6])
        if _OPENING_CUT_SHORT.fullmatch(opening):
            return False
        match = _OPENING.match(opening)
        if match is None:
            self.state = "none"
            return False
        tag, comment, _ = match.groups()
        if tag:
            self._is_head = tag.lower() == b"<head"
            return self._go(HeadTag._in_tag, by=5)
        return self._go(HeadTag._comment_start, by=4) if comment else self._go(HeadTag._until_larger_than, by=2)

    def _comment_start(self) -> bool:
        """Read after `<!--`, where `>` and `->` end the comment at once."""
        start = bytes(self.buffer[self._at : self._at + 2])
        if start in (b"", b"-"):
            return False
        if start.startswith(b">") or start == b"->":
            return self._go(HeadTag._between, by=1 + start.index(b">"))
        return self._go(HeadTag._comment)

    def _comment(self) -> bool:
        end = _COMMENT_END.search(self.buffer, self._at)
        if end is None:
            self._at = max(self._at, len(self.buffer) - 3)
            return False
        self._at = end.end()
        return self._go(HeadTag._between)

    def _until_larger_than(self) -> bool:
        """Read a doctype, where quotes protect nothing, or a bogus comment."""
        return self._pass(b">", HeadTag._between)

    def _in_tag(self) -> bool:
        """Read between two attributes. Any byte but a blank, a slash and `>` begins a name, even an equals sign."""
        match self._skip(_BLANKS_AND_SLASHES):
            case None:
                return False
            case b">":
                return self._end_tag()
            case _:
                return self._go(HeadTag._name, by=1)

    def _name(self) -> bool:
        match self._skip(_REST_OF_NAME):
            case None:
                return False
            case b"=":
                return self._go(HeadTag._before_value, by=1)
            case b"/" | b">":
                return self._go(HeadTag._in_tag)
            case _:
                return self._go(HeadTag._after_name)

    def _after_name(self) -> bool:
        match self._skip(_BLANKS):
            case None:
                return False
            case b"=":
                return self._go(HeadTag._before_value, by=1)
            case _:
                return self._go(HeadTag._in_tag)

    def _before_value(self) -> bool:
        match self._skip(_BLANKS):
            case None:
                return False
            case b'"':
                return self._go(HeadTag._in_double_quotes, by=1)
            case b"'":
                return self._go(HeadTag._in_single_quotes, by=1)
            case _:
                return self._go(HeadTag._in_value)

    def _in_double_quotes(self) -> bool:
        return self._pass(b'"', HeadTag._in_tag)

    def _in_single_quotes(self) -> bool:
        return self._pass(b"'", HeadTag._in_tag)

    def _in_value(self) -> bool:
        """Read a value without quotes. A slash is a part of it; `>` ends the tag, even if the value is empty."""
        match self._skip(_REST_OF_VALUE):
            case None:
                return False
            case b">":
                return self._end_tag()
            case _:
                return self._go(HeadTag._in_tag)

    # The steps that the states use.

    def _go(self, state: Callable[[HeadTag], bool], *, by: int = 0) -> bool:
        self._at += by
        self._step = state
        return True

    def _skip(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Skip what `pattern` matches. Return the byte after it, None if that byte has not arrived yet."""
        match = pattern.match(self.buffer, self._at)
        if match is not None:
            self._at = match.end()
        return bytes(self.buffer[self._at : self._at + 1]) or None

    def _pass(self, byte: bytes, state: Callable[[HeadTag], bool]) -> bool:
        """Skip everything up to `byte`, and `byte` itself."""
        found = self.buffer.find(byte, self._at)
        if found < 0:
            self._at = len(self.buffer)
            return False
        self._at = found + 1
        return self._go(state)

    def _end_tag(self) -> bool:
        if self._is_head:
            self.state, self.end = "found", self._at + 1
            return False
        return self._go(HeadTag._between, by=1)
