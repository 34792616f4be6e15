"""Pass what children print on to this program's log: whole lines with the child's name. The last lines are kept."""

from __future__ import annotations

import re
import sys
from collections import deque
from contextlib import suppress
from typing import Literal, TextIO

import structlog

from gateway.logs import one_line
from gateway.masked_paths import mask_text
from gateway.processes.refused_paths import RefusedPaths

REMEMBERED_LINES = 20
MAX_LINE_BYTES = 16_384
WORTH_A_LOOK = re.compile(r"\b(?:ERROR|CRITICAL|WARN|WARNING|Traceback)\b|(?:Error|Exception): ")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Voice = Literal["own", "shown", "quiet"]
"""`own`: the lines are log lines of this program already. `shown`: wrap each line. `quiet`: show only trouble."""


class ChildOutput:
    """Reads the bytes of one child's standard output and error."""

    def __init__(
        self,
        name: str,
        *,
        voice: Voice,
        json_lines: bool,
        prefix: bool,
        stream: TextIO = sys.stderr,
        refused: RefusedPaths | None = None,
    ) -> None:
        self._name = name
        self._voice: Voice = voice
        self._json_lines = json_lines
        self._prefix = prefix and not json_lines
        self._stream = stream
        self._log = structlog.get_logger("vestibule.children")
        self._refused = refused
        self._rest = b""
        self._in_trace = False
        self.last: deque[str] = deque(maxlen=REMEMBERED_LINES)

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > MAX_LINE_BYTES:
            self._line(self._rest[:MAX_LINE_BYTES])
            self._rest = b""

    def expect_the_end(self) -> None:
        """Show only trouble from now on: a child that is told to stop often prints that it stops."""
        if self._voice == "shown":
            self._voice = "quiet"

    def finish(self) -> None:
        """Finish: the child is gone. Text without a line end counts as a line."""
        if self._rest:
            self._line(self._rest)
        self._rest = b""
        self._in_trace = False

    def _line(self, raw: bytes) -> None:
        said = COLOUR.sub("", raw.decode("utf-8", errors="backslashreplace"))  # some colour without a terminal
        text = one_line(said.rstrip().expandtabs(4))
        if not text:
            return
        if self._voice != "own":  # an app names sessions and media files in its warnings
            text = mask_text(text)
        self.last.append(text)
        if self._voice == "own" and (text.startswith("{") or not self._json_lines):
            self._print(f"{self._name} | {text}" if self._prefix else text)
        elif self._voice != "quiet" or self._is_trouble(text):
            self._wrap(text)
        if self._refused is not None and (path := self._refused.look(text)):
            self._log.warning("page may not open this", process=self._name, path=path, reason=self._refused.fix)

    def _wrap(self, text: str) -> None:
        if self._json_lines:
            self._log.info("output", process=self._name, line=text)
        else:
            self._print(f"{self._name} | {text}")

    def _print(self, line: str) -> None:
        with suppress(OSError):  # the reader of our log is gone; children must not block because of that
            print(line, file=self._stream, flush=True)

    def _is_trouble(self, text: str) -> bool:
        """True for a line that reports trouble, or that belongs to the trace after such a line."""
        if WORTH_A_LOOK.search(text):
            self._in_trace = "Traceback" in text
            return True
        if self._in_trace and not text.startswith(" "):
            self._in_trace = False
            return True
        return self._in_trace
