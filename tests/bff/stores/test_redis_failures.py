"""If Redis is slow, cut off, refuses or has lost its replica, `StoreUnavailable` comes soon.

Afterwards all is as before.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from bff.errors import StoreUnavailable
from bff.stores.events import EverythingUnknown, SessionEvent
from bff.stores.protocol import TooMany
from bff.stores.redis import RedisStore
from bff.stores.redis_events import SILENT_SECONDS
from tests.bff.stores.conftest import OpenRedis
from tests.bff.stores.redis_servers import ACL_USER, Deployment
from tests.bff.stores.store_contract import created, fresh, heard, until
from tests.bff.stores.tcp_proxy import TcpProxy, tcp_proxy

WRONG_PASSWORD = "correct-horse-of-the-tests"


@asynccontextmanager
async def behind_proxy(
    standalone: Deployment, open_redis: OpenRedis, *, seconds: float = 0.5
) -> AsyncIterator[tuple[TcpProxy, RedisStore]]:
    async with tcp_proxy(standalone.servers[0].port) as proxy:
        store = open_redis(f"redis://127.0.0.1:{proxy.port}/3", timeout=seconds)
        yield proxy, store
        await store.aclose()


def every_operation(store: RedisStore) -> dict[str, Callable[[], object]]:
    name, kind = fresh(), fresh("kind")
    return {
        "ping": store.ping,
        "create": lambda: store.create(name, b"", owners=["o"], idle_seconds=60, absolute_expires_at=time.time() + 60),
        "load": lambda: store.load(name),
        "replace": lambda: store.replace(name, b"", revision=0),
        "touch": lambda: store.touch(name, idle_seconds=60, absolute_expires_at=time.time() + 60),
        "delete": lambda: store.delete(name),
        "owned_by": lambda: store.owned_by("o"),
        "set_barrier": lambda: store.set_barrier("o", seconds=60),
        "barriers": lambda: store.barriers(["o", "p"]),
        "lock": lambda: store.lock(name, "a", seconds=60),
        "unlock": lambda: store.unlock(name, "a"),
        "put_once": lambda: store.put_once(kind, name, b"", seconds=60, cap=10),
        "take_once": lambda: store.take_once(kind, name),
        "keep": lambda: store.keep(kind, name, b"", seconds=60, cap=10),
        "peek": lambda: store.peek(kind, name),
        "publish": lambda: store.publish(EverythingUnknown()),
    }


async def failures(operations: dict[str, Callable[[], object]]) -> dict[str, object]:
    """Run all at once; return what each raised, if anything."""

    async def run(operation: Callable[[], object]) -> object:
        return await operation()  # type: ignore[misc]  # each is a coroutine function of some result

    outcomes = await asyncio.gather(*(run(operation) for operation in operations.values()), return_exceptions=True)
    return dict(zip(operations, outcomes, strict=True))


async def test_a_broken_connection_fails_every_operation_at_once_and_operations_work_after_it(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    async with behind_proxy(standalone, open_redis, seconds=60) as (proxy, store):
        name = await created(store)
        proxy.cut()
        for _ in range(2):
            async with asyncio.timeout(20):  # nothing waits for its time-out
                outcomes = await failures(every_operation(store))
            assert {operation for operation, what in outcomes.items() if isinstance(what, StoreUnavailable)} == set(
                outcomes
            )
        proxy.restore()
        assert await store.load(name) is not None
        assert await store.replace(name, b"x", revision=0)


async def test_a_silent_store_fails_every_operation_within_the_timeout(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    async with behind_proxy(standalone, open_redis) as (proxy, store):
        name = await created(store)
        proxy.hold()
        async with asyncio.timeout(20):
            outcomes = await failures(every_operation(store))
        assert [what for what in outcomes.values() if not isinstance(what, StoreUnavailable)] == []
        proxy.restore()
        assert await store.load(name) is not None


async def test_the_time_becomes_unknown_soon_after_the_store_is_unreachable(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    async with behind_proxy(standalone, open_redis) as (proxy, store):
        await store.now()
        proxy.cut()
        await store.now()
        await asyncio.sleep(2.05)
        with pytest.raises(StoreUnavailable):
            await store.now()


async def test_a_disconnected_listener_knows_that_it_missed_events(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    async with behind_proxy(standalone, open_redis) as (proxy, store):
        events: list[SessionEvent] = []
        store.subscribe(events.append)
        await until(lambda: store.is_hearing)
        for disturb in (proxy.cut, proxy.hold):
            events.clear()
            disturb()
            disturbed = time.monotonic()
            await until(lambda: not store.is_hearing)
            assert time.monotonic() - disturbed < SILENT_SECONDS - 0.5, "only the end of the connection was seen"
            proxy.cut()
            proxy.restore()
            await heard(events, EverythingUnknown())
            await until(lambda: store.is_hearing)


async def test_a_new_connection_loses_no_operation(standalone: Deployment, open_redis: OpenRedis) -> None:
    store = open_redis(standalone.url)
    name = await created(store)
    with standalone.servers[0].client() as raw:
        for number in range(5):
            raw.client_kill_filter(_type="normal", skipme=True)
            assert await store.replace(name, b"x", revision=number)
            raw.client_kill_filter(_type="normal", skipme=True)
            assert await store.load(name) is not None


async def test_cancelled_commands_never_mix_replies(standalone: Deployment, open_redis: OpenRedis) -> None:
    """SL-11: 500 people, a slow Redis, and requests that are aborted at random.

    Each person gets their own record or nothing.
    """
    people = 500
    async with behind_proxy(standalone, open_redis, seconds=5) as (proxy, store):
        ends = await store.now() + 600
        for number in range(people):
            await store.create(
                f"person-{number}", b"%d" % number, owners=[], idle_seconds=600, absolute_expires_at=ends
            )
        proxy.delay = 0.01
        chance = random.Random(11)
        read = given_up = 0
        patience = 0.12  # depends on the machine, so that about half of the visits are aborted even if it is busy

        async def visit() -> None:
            nonlocal read, given_up, patience
            for _ in range(45):
                number = chance.randrange(people)
                try:
                    async with asyncio.timeout(chance.uniform(0, patience)):
                        record = await store.load(f"person-{number}")
                        assert record is not None
                        assert record.sealed == b"%d" % number
                        read += 1
                        await store.put_once("visit", fresh(), b"", seconds=1, cap=10**6)
                    patience *= 0.98
                except TimeoutError:
                    given_up += 1
                    patience *= 1.02

        await asyncio.gather(*(visit() for _ in range(40)))
        assert read > 200
        assert given_up > 200
        proxy.delay = 0
        for number in range(people):
            record = await store.load(f"person-{number}")
            assert record is not None
            assert record.sealed == b"%d" % number


async def test_a_read_only_server_is_unavailable_for_writing(standalone: Deployment, open_redis: OpenRedis) -> None:
    store = open_redis(standalone.url)
    name = await created(store)
    with standalone.servers[0].client() as raw:
        raw.replicaof("127.0.0.1", 1)
        try:
            for write in (store.delete(name), store.set_barrier("o", seconds=60), store.replace(name, b"", revision=0)):
                with pytest.raises(StoreUnavailable, match="READONLY"):
                    await write
        finally:
            raw.replicaof("NO", "ONE")
    assert await store.delete(name)


async def test_a_full_server_refuses_new_sign_ins_and_keeps_sessions(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    store = open_redis(standalone.url)
    name = await created(store)
    with standalone.servers[0].client() as raw:
        raw.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreUnavailable, match="OOM"):
                await store.put_once("login", fresh(), b"v", seconds=60, cap=10)
            assert await store.load(name) is not None
            assert await store.delete(name)
        finally:
            raw.config_set("maxmemory", 0)


async def test_a_write_that_no_replica_confirms_is_not_reported_as_done(
    deployment_of: Callable[[str], Deployment], open_redis: OpenRedis
) -> None:
    deployment = deployment_of("sentinel")
    store = open_redis(deployment.url)
    kept, ended = await created(store), await created(store)
    with deployment.servers[0].client() as raw:
        replica = deployment.servers[1]
        replica.freeze()
        try:
            for _ in range(2):  # also where there is nothing left to delete
                with pytest.raises(StoreUnavailable, match="not confirmed"):
                    await store.delete(ended)
            with pytest.raises(StoreUnavailable, match="not confirmed"):
                await created(store)
            with pytest.raises(StoreUnavailable, match="not confirmed"):
                await store.set_barrier("o", seconds=60)
            assert await store.load(kept) is not None, "reading needs no replica"
            assert await store.touch(kept, idle_seconds=60, absolute_expires_at=await store.now() + 60)
        finally:
            replica.thaw()
        assert raw.ping()
    await until_confirmed(store, ended)
    assert await store.replace(kept, b"x", revision=0)


async def until_confirmed(store: RedisStore, name: str) -> None:
    for _ in range(50):
        with suppress(StoreUnavailable):
            assert not await store.delete(name)
            return
    raise AssertionError("the replica never confirms")


async def test_the_url_can_set_how_many_replicas_must_confirm(standalone: Deployment, open_redis: OpenRedis) -> None:
    store = open_redis(standalone.url + "?replicas=1")
    with pytest.raises(StoreUnavailable, match="0 of 1"):
        await store.set_barrier(fresh("owner"), seconds=60)


async def test_no_error_message_shows_a_password(
    deployment_of: Callable[[str], Deployment], open_redis: OpenRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    deployment = deployment_of("secured")
    assert deployment.certificates is not None
    where = f"127.0.0.1:{deployment.servers[0].port}/0?{deployment.certificates.query}"
    store = open_redis(f"rediss://{ACL_USER}:{WRONG_PASSWORD}@{where}")
    store.subscribe(lambda event: None)
    with pytest.raises(StoreUnavailable) as caught:
        await store.load("x")
    await asyncio.sleep(0.3)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + str(caught.value) + caught.value.message
    assert WRONG_PASSWORD not in shown
    assert "WRONGPASS" in shown or "AuthenticationError" in shown


async def test_a_server_with_a_certificate_of_another_name_or_authority_is_not_used(
    deployment_of: Callable[[str], Deployment], open_redis: OpenRedis
) -> None:
    deployment = deployment_of("secured")
    assert deployment.certificates is not None
    port = deployment.servers[0].port
    by_other_name = deployment.url.replace("127.0.0.1", "localhost")
    for url in (by_other_name, f"rediss://127.0.0.1:{port}/0", f"redis://127.0.0.1:{port}/0"):
        with pytest.raises(StoreUnavailable):
            await open_redis(url).load("x")
    assert await open_redis(deployment.url).load("x") is None


async def test_a_redis_user_without_rights_gets_an_error_that_names_the_missing_kind(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    with standalone.servers[0].client() as raw:
        raw.execute_command("ACL", "SETUSER", "reader", "on", "nopass", "~*", "+get")
    store = open_redis(f"redis://reader:any@127.0.0.1:{standalone.servers[0].port}")
    with pytest.raises(StoreUnavailable, match="NoPermission"):
        await store.load("x")


async def test_a_reached_limit_is_not_reported_as_an_outage(standalone: Deployment, open_redis: OpenRedis) -> None:
    store = open_redis(standalone.url)
    with pytest.raises(TooMany):
        await store.put_once(fresh("kind"), "x", b"", seconds=60, cap=0)
