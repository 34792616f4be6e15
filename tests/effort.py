"""How much work something is, in computing time of this process: other programs of a busy machine do not count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def costs_less_than(seconds: float, what: object = "") -> Iterator[None]:
    """Fail when the block, with all threads of this process, computes for longer."""
    started = time.process_time()
    yield
    spent = time.process_time() - started
    assert spent < seconds, f"{spent:.2f} s of computing time {what}"
