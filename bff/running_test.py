"""The running test, and what to undo when it ends. Keep it light: the pytest plugin imports it in every test run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_running: list[ExitStack] = []


class NotUnderTest(RuntimeError):
    """A test double was requested, but no test is running."""


@contextmanager
def running_test() -> Iterator[None]:
    """Mark the time of one test; at its end, undo everything that was registered with `undo_later`."""
    with ExitStack() as stack:
        _running.append(stack)
        try:
            yield
        finally:
            _running.remove(stack)


def undo_later() -> ExitStack:
    """Return the stack in which the running test registers what to undo.

    Raises:
        NotUnderTest: no pytest test is running in this process, or the plugin is switched off.
    """
    if not _running:
        raise NotUnderTest("bff.testing works inside a pytest test only, with the plugin `vestibule` active")
    return _running[-1]
