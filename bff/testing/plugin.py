"""The pytest plugin `vestibule`: fixtures, and the end of whatever `bff.testing` did for a test.

It is loaded in every pytest run of an environment that has this package, so it imports nothing before it is needed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bff.testing.clock import FakeClock
    from bff.testing.provider import FakeProvider


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    from bff.testing.current_test import running_test

    with running_test():
        return (yield)


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock at a fixed time, to be moved by hand."""
    from bff.testing.clock import FakeClock

    return FakeClock()


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """An OpenID provider on a free port of 127.0.0.1, with alice (analyst, admin) and bob (viewer)."""
    from bff.testing.provider import FakeProvider

    with FakeProvider() as provider:
        yield provider
