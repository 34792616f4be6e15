"""The pytest plugin `vestibule`: fixtures of `bff.testing`, and the end of whatever that did for a test.

It is loaded in every pytest run of an environment that has this package, also where only the kit's dependencies are
installed: so it imports nothing of the package before a test asks for it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bff.testing import FakeClock, FakeProvider

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    with running_test():
        return (yield)


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock at a fixed time, to be moved by hand."""
    from bff.testing import FakeClock

    return FakeClock()


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """An OpenID provider on a free port of 127.0.0.1, with alice (analyst, admin) and bob (viewer)."""
    from bff.testing import FakeProvider

    with FakeProvider() as provider:
        yield provider
