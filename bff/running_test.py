"""The running test, and what has to be undone when it ends. Light: the pytest plugin imports it in every test run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_running: list[ExitStack] = []


class NotUnderTest(RuntimeError):
    """A test double was asked for where no test runs."""


@contextmanager
def running_test() -> Iterator[None]:
    """The time of one test; what it left with `undo_later` is undone at the end."""
    with ExitStack() as stack:
        _running.append(stack)
        try:
            yield
        finally:
            _running.remove(stack)


def undo_later() -> ExitStack:
    """Where the running test leaves what has to be undone.

    Raises:
        NotUnderTest: no pytest test runs in this process, or the plugin is switched off.
    """
    if not _running:
        raise NotUnderTest("bff.testing works inside a pytest test only, with the plugin `vestibule` active")
    return _running[-1]
