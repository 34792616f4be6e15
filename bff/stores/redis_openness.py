"""Find out whether a Redis deployment serves anybody who can reach it, without a password or certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from redis.asyncio import Redis
from redis.exceptions import RedisError

from bff.stores.redis_nodes import open_nodes
from bff.stores.redis_pools import connection_options, pool_of, tls_context
from bff.stores.redis_url import Address, Login, RedisTarget, TlsFiles


async def is_open_to_strangers(target: RedisTarget, *, prefix: str, seconds: float) -> bool:
    """True if a server answers for our keys without our login, or a sentinel answers without its own.

    The URL does not show that: a server may know our user, and still serve the default user without a password. A
    time-out or any kind of refusal means that it does not serve strangers.
    """
    stranger = replace(target, login=Login(), sentinel_login=Login(), tls=_without_certificate(target.tls))
    asked = [_reads_our_keys(replace(stranger, sentinel_login=target.sentinel_login), prefix=prefix, seconds=seconds)]
    if target.kind == "sentinel":
        asked.append(_any_answers(stranger.addresses, stranger.tls, seconds=seconds))
    return any(await asyncio.gather(*asked))


def _without_certificate(tls: TlsFiles | None) -> TlsFiles | None:
    return replace(tls, certificate_file="", key_file="") if tls is not None else None


async def _reads_our_keys(target: RedisTarget, *, prefix: str, seconds: float) -> bool:
    nodes = open_nodes(target, timeout=seconds)
    key = f"{prefix}clock"
    try:
        async with asyncio.timeout(seconds):
            client = await nodes.client_for(key)
            await client.exists(key)
    except (RedisError, OSError):
        return False
    finally:
        await nodes.aclose()
    return True


async def _any_answers(addresses: Iterable[Address], tls: TlsFiles | None, *, seconds: float) -> bool:
    context = tls_context(tls) if tls is not None else None
    options = connection_options(Login(), seconds)
    for address in addresses:
        async with Redis.from_pool(pool_of(address, context, options)) as sentinel:
            try:
                async with asyncio.timeout(seconds):
                    await sentinel.execute_command("SENTINEL", "MASTERS")  # type: ignore[no-untyped-call]  # no types
            except (RedisError, OSError):
                continue
            return True
    return False
