from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.demo.science_api import ScienceApi, running_api


@pytest.fixture(scope="session")
def api() -> Iterator[ScienceApi]:
    """One API, shared by the tests that leave no data behind. Simulations take half a second."""
    with running_api(simulation_seconds=0.5) as api:
        yield api
