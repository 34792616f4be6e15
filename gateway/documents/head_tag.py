"""Finds the end of a document's head start tag, reading as a browser's HTML parser does; pure, piece by piece.

Only what a parser passes over on its way to a written head may come before it: a byte order mark, blanks, comments of
every form, doctypes and `<html …>`. At anything else a parser makes a head of its own, so there is none to be found.
The states are those of the WHATWG HTML Standard, sections 13.2.5 (tokenizer) and 13.2.6.4.1 to 13.2.6.4.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MOST_STEPS: Final = 4096
"""Constructs (comments, tags, names, values) that are read before the search is given up."""
_BLANKS: Final = re.compile(rb"[\t\n\f\r ]*")
_BLANKS_AND_SLASHES: Final = re.compile(rb"[\t\n\f\r /]*")
_REST_OF_NAME: Final = re.compile(rb"[^\t\n\f\r />=]*")
_REST_OF_VALUE: Final = re.compile(rb"[^\t\n\f\r >]*")
_COMMENT_END: Final = re.compile(rb"--!?>")
_OPENING: Final = re.compile(rb"(<html|<head)[\t\n\f\r />]|(<!--)|(<[!?])", re.IGNORECASE)
_OPENING_CUT_SHORT: Final = re.compile(rb"<(?:!-?|h(?:t(?:ml?)?|e(?:ad?)?)?)?", re.IGNORECASE)


class HeadTag:
    """Reads a document from its beginning; `end` is the offset behind `<head …>` once `state` is "found".

    Each byte is looked at a bounded number of times, however small the pieces are in which it comes.
    """

    __slots__ = ("_at", "_is_head", "_step", "_steps", "buffer", "end", "state")

    def __init__(self) -> None:
        self.buffer = bytearray()
        """All that was fed."""
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

    # The states. Each returns True when it came to its end, and False when it needs more bytes.

    def _read_start(self) -> bool:
        start = self.buffer[:3]
        if len(start) < 3 and BYTE_ORDER_MARK.startswith(start):
            return False
        if start == BYTE_ORDER_MARK:
            self._at = 3
        return self._go(HeadTag._between)

    def _between(self) -> bool:
        """Between constructs: only blanks and the openings of what may come before a head."""
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
        """Behind `<!--`, where `>` and `->` end the comment at once."""
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
        """In a doctype, where quotes protect nothing, or in a bogus comment."""
        return self._pass(b">", HeadTag._between)

    def _in_tag(self) -> bool:
        """Between two attributes. Whatever is no blank, slash or `>` begins a name, even an equals sign."""
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
        """In a value without quotes, where a slash is a part of it; `>` ends the tag, also before any byte of it."""
        match self._skip(_REST_OF_VALUE):
            case None:
                return False
            case b">":
                return self._end_tag()
            case _:
                return self._go(HeadTag._in_tag)

    # What the states are made of.

    def _go(self, state: Callable[[HeadTag], bool], *, by: int = 0) -> bool:
        self._at += by
        self._step = state
        return True

    def _skip(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """Pass over what `pattern` matches; gives the byte behind it, None when that is not here yet."""
        match = pattern.match(self.buffer, self._at)
        if match is not None:
            self._at = match.end()
        return bytes(self.buffer[self._at : self._at + 1]) or None

    def _pass(self, byte: bytes, state: Callable[[HeadTag], bool]) -> bool:
        """Pass over everything up to and with `byte`."""
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
