"""Measure work in computing time of this process, so that other programs on a busy machine do not count."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def costs_less_than(seconds: float, what: object = "") -> Iterator[None]:
    """Fail when the block, with all threads of this process, computes for longer."""
    started = time.process_time()
    yield
    spent = time.process_time() - started
    assert spent < seconds, f"{spent:.2f} s of computing time {what}"


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of our packages `work` runs. Unlike time, this is the same number on every machine."""
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if not frame.f_globals.get("__name__", "").startswith(("bff.", "gateway.", "streamlit_kit.")):
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines
