"""What the tests of `vestibule doctor` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import FakeProvider


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as started:
        yield started
