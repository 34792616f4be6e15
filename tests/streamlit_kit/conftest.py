from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamlit_kit.client import ApiClient
from streamlit_kit.runtime import Kit
from tests.streamlit_kit.front_door import KitFrontDoor


@pytest.fixture(scope="session")
def running_door() -> Iterator[KitFrontDoor]:
    with KitFrontDoor() as door:
        yield door


@pytest.fixture
def door(running_door: KitFrontDoor) -> KitFrontDoor:
    running_door.reset()
    return running_door


@pytest.fixture
def kit(door: KitFrontDoor) -> Iterator[Kit]:
    made = door.kit()
    yield made
    made.http.close()


@pytest.fixture
def client(door: KitFrontDoor, kit: Kit) -> ApiClient:
    """Alice's client for the route /api/, with nothing recorded yet."""
    made = door.client(kit)
    door.server.clear()
    return made
