"""The rules of every store, on each kind of Redis deployment; on memory too, which checks the rules themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bff.stores.memory import MemoryStore
from bff.stores.protocol import Store
from tests.bff.stores.conftest import KINDS, OpenRedis
from tests.bff.stores.redis_servers import Deployment
from tests.bff.stores.store_contract import StoreContract


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(clock=time.time)


class TestRedis(StoreContract):
    @pytest.fixture(params=list(KINDS))
    def store(
        self, request: pytest.FixtureRequest, deployment_of: Callable[[str], Deployment], open_redis: OpenRedis
    ) -> Store:
        return open_redis(deployment_of(request.param).url)
