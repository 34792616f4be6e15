"""Three front doors on one Redis, shared by the tests that leave them running."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bff.stores.redis_servers import Deployment, standalone
from tests.fakes import FakeProvider, Options, RecordingUpstream
from tests.replicas.replica_set import ReplicaSet, running_replicas
from tests.replicas.store_wire import StoreWire, store_wire


@pytest.fixture(scope="session")
def redis(component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with standalone(component("redis-server"), tmp_path_factory.mktemp("redis")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def wire(redis: Deployment) -> Iterator[StoreWire]:
    with store_wire(redis.servers[0].port) as standing:
        yield standing


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as provider:
        provider.add_person("carol")
        yield provider


@pytest.fixture(scope="session")
def shared_upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream(keep_body_bytes=65_536) as upstream:
        yield upstream


@pytest.fixture(scope="session")
def shared_doors(
    shared_provider: FakeProvider,
    shared_upstream: RecordingUpstream,
    wire: StoreWire,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ReplicaSet]:
    folder = tmp_path_factory.mktemp("replicas")
    with running_replicas(3, folder, provider=shared_provider, upstream=shared_upstream, store=wire.url) as doors:
        yield doors


@pytest.fixture
def provider(shared_provider: FakeProvider) -> Iterator[FakeProvider]:
    """The shared provider, correct and with nothing recorded."""
    make_correct(shared_provider)
    yield shared_provider
    make_correct(shared_provider)


@pytest.fixture
def upstream(shared_upstream: RecordingUpstream) -> RecordingUpstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture
def doors(shared_doors: ReplicaSet, provider: FakeProvider, upstream: RecordingUpstream) -> ReplicaSet:
    """The shared three, before anything has happened."""
    for replica in shared_doors:
        replica.forget_events()
    return shared_doors


def make_correct(provider: FakeProvider) -> None:
    provider.bend.reset()
    provider.options = Options(auto_login="alice")
    provider.clock = time.time
    provider.clear_hits()
    provider.reuse_detected.clear()
