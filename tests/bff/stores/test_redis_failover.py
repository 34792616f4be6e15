"""A primary dies or a slot moves under load. Confirmed sessions are still there, and ended ones stay ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.crc import key_slot

from bff.errors import StoreUnavailable
from bff.stores.redis import RedisStore
from tests.bff.stores import redis_servers
from tests.bff.stores.conftest import OpenRedis
from tests.bff.stores.redis_servers import Deployment, Server, node_id
from tests.bff.stores.store_contract import fresh, until
from tests.ports import free_port

pytestmark = [pytest.mark.long, pytest.mark.component("redis-server")]


@dataclass(slots=True)
class Load:
    """Signs people in and out again and again, and remembers what was confirmed."""

    store: RedisStore
    opened: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    barred: dict[str, float] = field(default_factory=dict)
    failures: int = 0

    async def run(self) -> None:
        while True:
            with suppress(StoreUnavailable):
                await self._visit()
                await asyncio.sleep(0.005)
                continue
            self.failures += 1
            await asyncio.sleep(0.05)

    async def _visit(self) -> None:
        name, owner = fresh(), fresh("owner")
        ends = await self.store.now() + 600
        assert await self.store.create(name, b"0", owners=[owner], idle_seconds=600, absolute_expires_at=ends)
        self.opened.add(name)
        assert await self.store.replace(name, b"1", revision=0)
        self.rewritten.add(name)
        self.barred[owner] = await self.store.set_barrier(owner, seconds=600)
        gone = fresh()
        assert await self.store.create(gone, b"0", owners=[], idle_seconds=600, absolute_expires_at=ends)
        await self.store.delete(gone)
        self.ended.add(gone)

    async def check(self) -> None:
        for name in self.opened:
            record = await self.store.load(name)
            assert record is not None, "a confirmed session is lost"
            if name in self.rewritten:
                assert (record.sealed, record.revision) == (b"1", 1), "a confirmed rotation is lost"
        for name in self.ended:
            assert await self.store.load(name) is None, "an ended session is back"
        for owner, at in self.barred.items():
            assert await self.store.barriers([owner]) >= at, "a confirmed barrier is lost"

    async def goes_on(self) -> None:
        """Wait until more is confirmed than now."""
        before = len(self.ended)
        started = time.monotonic()
        while len(self.ended) < before + 20:
            assert time.monotonic() - started < 40, "sign-ins do not come back"
            await asyncio.sleep(0.05)


@contextmanager
def running(load: Load, *, people: int = 8) -> Iterator[None]:
    tasks = [asyncio.create_task(load.run()) for _ in range(people)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def test_a_sentinel_failover_loses_nothing_that_was_confirmed(
    component: Callable[[str], Path], tmp_path: Path, open_redis: OpenRedis
) -> None:
    with redis_servers.with_sentinels(component("redis-server"), tmp_path) as deployment:
        load = Load(open_redis(deployment.url, timeout=1))
        load.store.subscribe(lambda event: None)
        with running(load):
            await load.goes_on()
            deployment.servers[0].kill()
            # The one replica becomes primary and has none itself: nothing is confirmed until there is another.
            await until(lambda: is_primary(deployment.servers[1]))
            third = add_replica(component("redis-server"), tmp_path, deployment.servers[1])
            try:
                await load.goes_on()
                await until(lambda: load.store.is_hearing)
            finally:
                third.kill()
        assert load.failures > 0, "the failover was not felt, so nothing was tested"
        await load.check()


async def test_a_cluster_failover_loses_nothing_that_was_confirmed(
    component: Callable[[str], Path], tmp_path: Path, open_redis: OpenRedis
) -> None:
    with redis_servers.cluster(component("redis-server"), tmp_path, replicas=True) as deployment:
        load = Load(open_redis(deployment.url + "?replicas=1", timeout=1))
        with running(load):
            await load.goes_on()
            deployment.servers[0].kill()
            await asyncio.sleep(5)
            await until(lambda: is_primary(deployment.servers[3]))
        assert load.failures > 0, "the failover was not felt, so nothing was tested"
        await load.check()


async def test_moving_cluster_slots_under_load_loses_no_record_and_fails_no_operation(
    component: Callable[[str], Path], tmp_path: Path, open_redis: OpenRedis, prefix: str
) -> None:
    with redis_servers.cluster(component("redis-server"), tmp_path) as deployment:
        load = Load(open_redis(deployment.url))
        with running(load):
            await load.goes_on()
            for _ in range(10):
                slots = sorted({key_slot(f"{prefix}session:{name}".encode()) for name in load.opened})
                for slot in slots[:40]:
                    await asyncio.to_thread(move_slot, deployment, slot)
            await load.goes_on()
        assert load.failures == 0
        await load.check()


async def test_writes_wait_for_confirmation_where_a_cluster_has_replicas(
    component: Callable[[str], Path], tmp_path: Path, open_redis: OpenRedis
) -> None:
    with redis_servers.cluster(component("redis-server"), tmp_path, replicas=True) as deployment:
        store = open_redis(deployment.url)
        await store.set_barrier("o", seconds=60)
        for follower in deployment.servers[3:]:
            follower.freeze()
        with pytest.raises(StoreUnavailable, match="not confirmed"):
            await store.set_barrier("o", seconds=60)


def is_primary(server: Server) -> bool:
    with server.client() as client:
        return bool(client.execute_command("ROLE")[0] == b"master")


def add_replica(program: Path, folder: Path, primary: Server) -> Server:
    port = free_port()
    return redis_servers.start_server(program, folder / "third", port, "--replicaof", "127.0.0.1", str(primary.port))


def move_slot(deployment: Deployment, slot: int) -> None:
    """Move a slot with all its keys to the next node, step by step, as `redis-cli --cluster reshard` does."""
    owner = next(server for server in deployment.servers if owns(server, slot))
    target = deployment.servers[(deployment.servers.index(owner) + 1) % len(deployment.servers)]
    with owner.client() as source, target.client() as there:
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(owner))
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))
        time.sleep(0.005)  # for a while some keys are still here, and new ones are made there
        while keys := source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10):
            source.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for client in (there, source):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", node_id(target))


def owns(server: Server, slot: int) -> bool:
    own = node_id(server).encode()
    with server.client() as client:
        rows = client.execute_command("CLUSTER", "SLOTS")
    return any(first <= slot <= last and primary[2] == own for first, last, primary, *_ in rows)
