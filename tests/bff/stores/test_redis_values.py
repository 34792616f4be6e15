"""What is in Redis: garbage signs nobody in, floods stay within their limits, scripts use one key, names are hashes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
import redis

from bff.stores import redis_scripts
from bff.stores.protocol import TooMany
from bff.stores.redis import WRITER_BYTES, RedisStore
from bff.stores.redis_scripts import SCRIPTS, Script
from tests.bff.stores.conftest import OpenRedis
from tests.bff.stores.neighbour import neighbour
from tests.bff.stores.redis_servers import Deployment
from tests.bff.stores.store_contract import created, fresh

CALL = re.compile(r"redis\.p?call\('(\w+)'(?:, ([^,)]+))?")
CAP = 2_000
NONSENSE = b"\xff\x00 no time, no number"
SCRIPT_NAMES = {value: name for name, value in vars(redis_scripts).items() if isinstance(value, Script)}


@pytest.fixture
def store(standalone: Deployment, open_redis: OpenRedis) -> RedisStore:
    return open_redis(standalone.url)


@pytest.fixture
def raw(standalone: Deployment) -> redis.Redis:
    """A client of the same database, which writes what an intruder or an accident could write."""
    return redis.Redis.from_url(standalone.url, protocol=2)


@pytest.mark.parametrize("script", SCRIPTS, ids=[SCRIPT_NAMES[script] for script in SCRIPTS])
def test_every_script_touches_one_key(script: Script) -> None:
    calls = CALL.findall(script.source)
    assert calls
    assert {key for command, key in calls if command != "TIME"} == {"KEYS[1]"}
    assert script.source not in repr(script)


GARBAGE: dict[str, Callable[[redis.Redis, str], object]] = {
    "string": lambda raw, key: raw.set(key, NONSENSE),
    "infinity": lambda raw, key: raw.set(key, b"inf"),
    "list": lambda raw, key: raw.rpush(key, b"1"),
    "set": lambda raw, key: raw.sadd(key, b"1"),
    "hash": lambda raw, key: raw.hset(key, mapping={"rev": "zero", "data": b"\x00", "abs": "never"}),
    "hash without end": lambda raw, key: raw.hset(key, mapping={"rev": "0", "data": b"\x00"}),
    "sorted set": lambda raw, key: raw.zadd(key, {b"x": 1e300}),
}


@pytest.fixture(params=list(GARBAGE))
def spoil(request: pytest.FixtureRequest, raw: redis.Redis, prefix: str) -> Callable[[str], None]:
    """`spoil("session:x")` puts garbage in the place of a value."""

    def put(key: str) -> None:
        raw.delete(prefix + key)
        GARBAGE[request.param](raw, prefix + key)

    return put


async def test_an_unreadable_record_gives_no_session(store: RedisStore, spoil: Callable[[str], None]) -> None:
    name, ends = fresh(), await store.now() + 60
    spoil(f"session:{name}")
    assert await store.load(name) is None
    assert not await store.replace(name, b"x", revision=0) or await store.load(name) is None
    assert await store.touch(name, idle_seconds=60, absolute_expires_at=ends) is None
    assert not await store.create(name, b"x", owners=[], idle_seconds=60, absolute_expires_at=ends)
    assert await store.load(name) is None
    await store.delete(name)
    assert await store.create(name, b"x", owners=[], idle_seconds=60, absolute_expires_at=ends)


async def test_an_unreadable_list_is_replaced(store: RedisStore, spoil: Callable[[str], None]) -> None:
    owner = fresh("owner")
    spoil(f"owner:{owner}")
    assert await store.owned_by(owner) == []
    spoil(f"owner:{owner}")
    name = await created(store, owner)
    assert await store.owned_by(owner) == [name]


async def test_a_barrier_that_cannot_be_read_ends_everything(store: RedisStore, spoil: Callable[[str], None]) -> None:
    owner = fresh("owner")
    spoil(f"barrier:{owner}")
    assert await store.barriers([owner]) > await store.now() + 10**9
    at = await store.set_barrier(owner, seconds=60)
    assert await store.barriers([owner]) == at <= await store.now()


async def test_an_unreadable_lock_does_not_block_anybody(store: RedisStore, spoil: Callable[[str], None]) -> None:
    lock = fresh("lock")
    spoil(f"lock:{lock}")
    assert await store.lock(lock, "a", seconds=60)
    assert not await store.lock(lock, "b", seconds=60)


async def test_an_unreadable_value_gives_no_value(store: RedisStore, spoil: Callable[[str], None]) -> None:
    kind, name = fresh("kind"), fresh("value")
    spoil(f"places:{kind}")
    spoil(f"value:{kind}:{name}")
    assert not await store.put_once(kind, name, b"v", seconds=60, cap=10)
    assert await store.take_once(kind, name) in (None, NONSENSE[WRITER_BYTES:])
    await store.keep(kind, name, b"v", seconds=60, cap=10)
    assert await store.take_once(kind, name) == b"v"


async def test_many_values_stay_within_their_limit_and_leave_sessions_alone(
    store: RedisStore, raw: redis.Redis, prefix: str
) -> None:
    session, kind = await created(store), fresh("kind")
    refused = 0

    async def flood() -> None:
        nonlocal refused
        for _ in range(100):
            try:
                await store.put_once(kind, fresh("value"), b"v" * 100, seconds=60, cap=CAP)
            except TooMany:
                refused += 1

    await asyncio.gather(*(flood() for _ in range(200)))
    assert refused == 20_000 - CAP
    assert raw.zcard(f"{prefix}places:{kind}") == CAP
    assert sum(1 for _ in raw.scan_iter(f"{prefix}value:{kind}:*", count=1000)) == CAP
    assert await store.load(session) is not None


async def test_every_written_key_expires(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    owner, kind = fresh("owner"), fresh("kind")
    name = await created(store, owner, idle=60)
    await store.replace(name, b"x", revision=0)
    await store.touch(name, idle_seconds=60, absolute_expires_at=await store.now() + 60)
    await store.set_barrier(owner, seconds=60)
    await store.lock(fresh("lock"), "a", seconds=60)
    await store.put_once(kind, fresh("value"), b"", seconds=60, cap=1)
    await store.keep(fresh("kind"), fresh("value"), b"", seconds=60, cap=1)
    keys = list(raw.scan_iter(prefix + "*"))
    assert {key.decode().removeprefix(prefix).partition(":")[0] for key in keys} == {
        *("session", "owner", "barrier", "lock", "places", "value")
    }
    assert [key for key in keys if not 0 < raw.ttl(key) <= 3600] == []


async def test_the_list_of_an_owner_drops_ended_records(store: RedisStore, raw: redis.Redis, prefix: str) -> None:
    owner = fresh("owner")
    names = [await created(store, owner) for _ in range(5)]
    for name in names[1:]:
        await store.delete(name)
    assert await store.owned_by(owner) == names[:1]
    assert raw.zcard(f"{prefix}owner:{owner}") == 1


async def test_only_one_of_two_processes_gets_a_value(store: RedisStore, standalone: Deployment, prefix: str) -> None:
    kind = fresh("kind")
    async with neighbour(standalone.url, prefix) as other:
        theirs = 0
        for _ in range(20):
            name = fresh("value")
            await store.put_once(kind, name, b"v", seconds=60, cap=10)
            answer = asyncio.create_task(other.ask("take", kind, name, "50"))
            taken = await asyncio.gather(*(store.take_once(kind, name) for _ in range(50)))
            count = int(await answer)
            assert count + sum(value is not None for value in taken) == 1
            theirs += count
        assert 0 <= theirs <= 20


async def test_scripts_that_the_server_forgot_are_sent_again(store: RedisStore, raw: redis.Redis) -> None:
    name = await created(store)
    raw.script_flush()
    assert await store.load(name) is not None
    raw.script_flush()
    assert await store.barriers([fresh("owner"), fresh("owner")]) == 0


async def test_an_eviction_policy_that_may_delete_sessions_is_noticed(store: RedisStore, raw: redis.Redis) -> None:
    assert await store.eviction_policy() == "noeviction"
    raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert await store.eviction_policy() == "allkeys-lru"
    finally:
        raw.config_set("maxmemory-policy", "noeviction")
