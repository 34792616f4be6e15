"""Connections to Redis: pools, and one TLS context per store that trusts only the authority of `ca_file`.

redis-py itself makes a context for each connection, which takes tens of milliseconds. It also trusts the authorities
of the system in addition to `ca_file`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bff.stores.redis_url import Address, Login, RedisTarget, TlsFiles

MAX_CONNECTIONS = 32
"""Per server and process: commands in flight, the subscription and the heartbeat."""
SENTINEL_SHARE = 0.25
"""Share of the time-out for one sentinel or node that is asked for a server. A silent one must leave enough time."""


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """Make a TLS context that checks certificates and host names, with TLS 1.2 or newer.

    Raises:
        OSError: a file is missing, is not PEM, or the key is encrypted or of another certificate.
    """
    context = ssl.create_default_context(cafile=files.ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files.certificate_file:
        context.load_cert_chain(files.certificate_file, files.key_file, password="")  # never ask at the terminal
    return context


class TlsConnection(SSLConnection):
    """A connection that uses an existing TLS context."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


class TlsManagedConnection(SentinelManagedSSLConnection):
    """The same, to the primary that sentinels name."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # redis-py gives it no types
        self.ssl_context.context = context


class Watchers(Sentinel):
    """The sentinels of a deployment. Each gets a share of the time-out. The last one that answered is asked first."""

    def __init__(self, target: RedisTarget, tls: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__([])  # type: ignore[no-untyped-call]  # redis-py gives it no types
        self._patience = timeout * SENTINEL_SHARE
        options = connection_options(target.sentinel_login, timeout)
        self.sentinels = [Redis.from_pool(pool_of(address, tls, options)) for address in target.addresses]

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        for client in list(self.sentinels):
            try:
                async with asyncio.timeout(self._patience):
                    answer = await client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service_name)  # type: ignore[no-untyped-call]  # no types
            except (RedisError, OSError):
                continue
            if answer:
                self.sentinels.remove(client)
                self.sentinels.insert(0, client)
                return answer[0].decode(), int(answer[1])
        raise MasterNotFoundError("no sentinel knows the primary of this service")


def primary_pool(
    service: str, sentinel: Watchers, tls: ssl.SSLContext | None, options: Mapping[str, Any]
) -> ConnectionPool:
    secured: dict[str, Any] = {"connection_class": SentinelManagedConnection}
    if tls is not None:
        secured = {"connection_class": TlsManagedConnection, "context": tls}
    return SentinelConnectionPool(service, sentinel, **secured, **options)  # type: ignore[no-untyped-call]  # no types


def pool_of(address: Address, tls: ssl.SSLContext | None, options: Mapping[str, Any]) -> ConnectionPool:
    where: dict[str, Any] = {"host": address.host, "port": address.port}
    if tls is None:
        return ConnectionPool(connection_class=Connection, **where, **options)
    return ConnectionPool(connection_class=TlsConnection, context=tls, **where, **options)


def connection_options(login: Login, timeout: float) -> dict[str, Any]:
    """Return the options of every connection.

    `redis_commands` decides what is repeated, because it knows which commands are safe. It also sets the time-outs: if
    redis-py has a time-out, it sends with `asyncio.wait_for`, which can lose a cancellation in Python 3.11.
    """
    return {
        "username": login.username or None,
        "password": login.password or None,
        "socket_timeout": None,
        "socket_connect_timeout": timeout,
        "max_connections": MAX_CONNECTIONS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
