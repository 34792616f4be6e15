"""Redis deployments, each started when the first test asks for it, and stores on them, each with keys of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import cache
from pathlib import Path

import pytest

from bff.stores.redis import RedisStore
from bff.stores.redis_url import parse_redis_url
from tests.bff.stores import redis_servers
from tests.bff.stores.redis_servers import Deployment

KINDS = {
    "standalone": redis_servers.standalone,
    "secured": redis_servers.secured,
    "sentinel": redis_servers.with_sentinels,
    "cluster": redis_servers.cluster,
}

OpenRedis = Callable[..., RedisStore]


# One a module: a cluster and its sentinels use the processor as long as they are there, also when nobody asks them.
@pytest.fixture(scope="module")
def deployment_of(
    component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Deployment]]:
    """`deployment_of("cluster")`: that kind of deployment, shared by the tests that leave it as they found it."""
    with ExitStack() as stack:

        @cache
        def deployment(kind: str) -> Deployment:
            program = component("redis-server")
            return stack.enter_context(KINDS[kind](program, tmp_path_factory.mktemp(kind)))

        yield deployment


@pytest.fixture
def prefix() -> str:
    """The prefix of this test's keys and channels. The ACL user of the documentation may use it."""
    return f"vestibule:{secrets.token_hex(4)}:"


@pytest.fixture
async def open_redis(prefix: str) -> AsyncIterator[OpenRedis]:
    """`open_redis(url)`: a store with this test's prefix, closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(url: str, *, timeout: float = 2.0) -> RedisStore:
            store = RedisStore(parse_redis_url(url), prefix=prefix, timeout=timeout)
            stack.push_async_callback(store.aclose)
            return store

        yield opened


@pytest.fixture
def standalone(deployment_of: Callable[[str], Deployment]) -> Deployment:
    return deployment_of("standalone")
