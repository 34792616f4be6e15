"""Find the server for a key: the only server, the primary that sentinels name, or the owner of a cluster slot."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AskError, ClusterDownError, RedisError, ResponseError

from bff.stores.redis_pools import (
    SENTINEL_SHARE,
    Watchers,
    connection_options,
    pool_of,
    primary_pool,
    tls_context,
)
from bff.stores.redis_url import Address, RedisTarget

KNOWN_SECONDS = 10.0
"""Seconds after which a cluster is asked again for its slots and its replicas."""

Argument = str | bytes | int
Arguments = tuple[Argument, ...]


class Nodes(Protocol):
    """The servers of one deployment."""

    @property
    def replicas(self) -> int:
        """Return how many replicas must confirm an important write."""
        ...

    async def client_for(self, key: str) -> Redis:
        """Return the server for `key`."""
        ...

    def follow(self, redirect: AskError) -> Redis:
        """Return the server that `redirect` (MOVED or ASK) names."""
        ...

    async def suspect(self) -> None:
        """Forget what is known about the servers, because one did not answer as expected."""
        ...

    async def aclose(self) -> None: ...


def open_nodes(target: RedisTarget, *, timeout: float) -> Nodes:
    """Return the servers of `target`. Connections are made when they are needed."""
    return ClusterNodes(target, timeout=timeout) if target.kind == "cluster" else OneNode(target, timeout=timeout)


class OneNode:
    """A server by address, or the primary of a service that sentinels watch."""

    def __init__(self, target: RedisTarget, *, timeout: float) -> None:
        tls = tls_context(target.tls) if target.tls is not None else None
        options = {**connection_options(target.login, timeout), "db": target.db}
        self._sentinel: Watchers | None = None
        if target.kind == "sentinel":
            self._sentinel = Watchers(target, tls, timeout)
            self._client = Redis.from_pool(primary_pool(target.service, self._sentinel, tls, options))
            self.replicas = 1 if target.replicas is None else target.replicas
        else:
            self._client = Redis.from_pool(pool_of(target.addresses[0], tls, options))
            self.replicas = target.replicas or 0

    async def client_for(self, key: str) -> Redis:
        return self._client

    def follow(self, redirect: AskError) -> Redis:
        raise redirect  # a node of a cluster behind a URL that does not say so

    async def suspect(self) -> None:
        # Idle connections may lead to a server that is no primary any more. New ones ask the sentinels, or DNS, again.
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        await self._client.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()


class ClusterNodes:
    """The nodes of a cluster and the slots they own, as the first node that answers reports them."""

    def __init__(self, target: RedisTarget, *, timeout: float) -> None:
        self._target = target
        self._timeout = timeout
        self._tls = tls_context(target.tls) if target.tls is not None else None
        self._options = connection_options(target.login, timeout)
        self._clients: dict[Address, Redis] = {}
        self._owners: list[Address | None] = []
        self._learnt_at = -math.inf
        self._has_replicas = False
        self._learning = asyncio.Lock()

    @property
    def replicas(self) -> int:
        # A cluster that once had replicas must confirm writes, even while all of them are down.
        return int(self._has_replicas) if self._target.replicas is None else self._target.replicas

    async def client_for(self, key: str) -> Redis:
        if self._is_old():
            await self._learn()
        owner = self._owners[key_slot(key.encode())]
        if owner is None:
            self._learnt_at = -math.inf
            raise ClusterDownError("a slot has no owner")
        return self._client(owner)

    def follow(self, redirect: AskError) -> Redis:
        address = Address(redirect.host or self._target.addresses[0].host, redirect.port)
        if type(redirect) is not AskError and self._owners:  # MOVED is permanent, ASK is only for this command
            self._owners[redirect.slot_id] = address
        return self._client(address)

    async def suspect(self) -> None:
        self._learnt_at = -math.inf
        for client in self._clients.values():
            await client.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _is_old(self) -> bool:
        return time.monotonic() - self._learnt_at > KNOWN_SECONDS

    def _client(self, address: Address) -> Redis:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = Redis.from_pool(pool_of(address, self._tls, self._options))
        return client

    async def _learn(self) -> None:
        async with self._learning:
            if not self._is_old():
                return  # another command has just done it
            seeds = list(dict.fromkeys([*(owner for owner in self._owners if owner), *self._target.addresses]))
            failure: Exception = ClusterDownError("no node knows the slots")
            for address in seeds:
                try:
                    async with asyncio.timeout(self._timeout * SENTINEL_SHARE):
                        (table,) = await send_together(self._client(address), [("CLUSTER", "SLOTS")])
                except (RedisError, OSError) as exc:
                    failure = exc
                    continue
                if isinstance(table, ResponseError):
                    failure = table
                    continue
                self._owners = _owners(table, asked=address)
                self._has_replicas = self._has_replicas or any(len(row) > 3 for row in table)
                self._learnt_at = time.monotonic()
                return
            raise failure


async def send_together(client: Redis, commands: Sequence[Arguments]) -> list[Any]:
    """Return the replies in order, with refusals. All commands use one connection, because ASKING and WAIT need it."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return replies


def _owners(table: Sequence[Sequence[Any]], *, asked: Address) -> list[Address | None]:
    """Slot → primary, from the reply of CLUSTER SLOTS: rows of first slot, last slot, primary, replicas."""
    owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, primary, *_ in table:
        host = (primary[0] or b"").decode() or asked.host  # unknown to the node itself: where we reached it
        owners[first : last + 1] = [Address(host, int(primary[1]))] * (last - first + 1)
    return owners
