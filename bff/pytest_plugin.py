"""The pytest plugin `vestibule`: the fixtures of `bff.testing`, and the clean-up after each test.

Every pytest run in an environment with this package loads it, even if only the kit's dependencies are installed. So it
imports heavy modules only when a test needs them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bff.running_test import running_test

if TYPE_CHECKING:
    from bff.testing import FakeClock, FakeProvider


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    with running_test():
        return (yield)


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock at a fixed time, which the test moves."""
    from bff.testing import FakeClock

    return FakeClock()


@pytest.fixture
def fake_provider() -> Iterator[FakeProvider]:
    """An OpenID provider on a free port of 127.0.0.1, with alice (analyst, admin) and bob (viewer)."""
    from bff.testing import FakeProvider

    with FakeProvider() as provider:
        yield provider
