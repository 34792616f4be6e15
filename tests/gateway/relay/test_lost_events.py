"""Workers that share a Redis: if one ends a session, it ends at the others too, even if events are lost."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bff.assembly import Bff, assemble
from bff.contract import CloseCode, EndReason
from bff.errors import StoreUnavailable
from bff.sessions.record import Session
from bff.settings.tables import RouteSettings
from bff.stores.events import EverythingUnknown, SessionEvent
from gateway.access.session_cache import SessionCache
from gateway.relay.live_connections import Connection, LiveConnections
from tests.bff import factories
from tests.bff.stores.redis_servers import Deployment, standalone
from tests.bff.stores.store_contract import heard, until
from tests.bff.stores.tcp_proxy import tcp_proxy
from tests.fakes import FakeClock

DEAF_RULES = ("on", "nopass", "~*", "&*", "+@all", "-subscribe")


@dataclass(slots=True)
class Worker:
    """What a gateway process keeps of sessions and of their sockets; `closed` lists what was closed, and why."""

    bff: Bff
    cache: SessionCache
    connections: LiveConnections
    closed: list[tuple[int, str]]

    def open_socket(self, session: Session) -> None:
        route = RouteSettings(id="page", path="/", upstream=("http://127.0.0.1:1",))
        owners = frozenset(name for names in self.bff.sessions.owners_of(session) for name in names)
        self.connections.add(
            Connection(
                session.name,
                owners,
                session.login_started_at,
                route,
                close=lambda code, reason: self.closed.append((code, reason)),
            )
        )


@asynccontextmanager
async def worker(url: str, prefix: str) -> AsyncIterator[Worker]:
    bff = assemble(factories.settings(store={"url": url, "prefix": prefix, "timeout_seconds": 0.5}))
    cache = SessionCache(bff)

    async def is_live(connection: Connection) -> bool:
        return await cache.get(connection.record_name) is not None

    async def is_allowed(connection: Connection) -> bool:
        return True

    connections = LiveConnections(is_live=is_live, is_allowed=is_allowed)
    bff.store.subscribe(connections.on_event)
    try:
        yield Worker(bff, cache, connections, [])
    finally:
        cache.close()
        await bff.aclose()


async def sign_in(bff: Bff) -> Session:
    now = await bff.store.now()
    opened = await bff.sessions.open(replace(factories.opening(FakeClock()), login_started_at=now))
    assert opened is not None
    return opened.session


@pytest.fixture(scope="module")
def redis(component: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with standalone(component("redis-server"), tmp_path_factory.mktemp("redis")) as deployment:
        yield deployment


@pytest.fixture
def prefix() -> str:
    return f"vestibule:{secrets.token_hex(4)}:"


async def test_a_session_ended_in_one_worker_is_forgotten_in_the_others(redis: Deployment, prefix: str) -> None:
    async with worker(redis.url, prefix) as here, worker(redis.url, prefix) as there:
        session = await sign_in(here.bff)
        await until(lambda: there.bff.store.is_hearing)
        live = await there.cache.get(session.name)
        assert live is not None
        assert await there.cache.get(session.name) is live, "it is remembered"
        there.open_socket(session)
        await here.bff.sessions.end_person(session.identity.iss, session.identity.sub, EndReason.REVOKED)
        await until(lambda: there.closed == [(CloseCode.SESSION_ENDED, "revoked")])
        assert await there.cache.get(session.name) is None


async def test_a_worker_that_receives_no_events_reads_the_store_for_every_request(
    redis: Deployment, prefix: str
) -> None:
    with redis.servers[0].client() as raw:
        raw.execute_command("ACL", "SETUSER", "deaf", *DEAF_RULES)
    deaf_url = redis.url.replace("redis://", "redis://deaf:any@")
    async with worker(redis.url, prefix) as here, worker(deaf_url, prefix) as deaf:
        session = await sign_in(here.bff)
        assert not deaf.bff.store.is_hearing
        live = await deaf.cache.get(session.name)
        assert live is not None
        assert await deaf.cache.get(session.name) is not live, "nothing is remembered"
        await here.bff.sessions.end(session.name, EndReason.LOGOUT)
        assert await deaf.cache.get(session.name) is None, "at once, without having been told"


async def test_a_session_that_ended_while_a_worker_was_disconnected_ends_there_when_it_is_back(
    redis: Deployment, prefix: str
) -> None:
    async with tcp_proxy(redis.servers[0].port) as proxy:
        behind = f"redis://127.0.0.1:{proxy.port}/3"
        async with worker(redis.url, prefix) as here, worker(behind, prefix) as there:
            ended, kept = await sign_in(here.bff), await sign_in(here.bff)
            await until(lambda: there.bff.store.is_hearing)
            for session in (ended, kept):
                assert await there.cache.get(session.name) is not None
            there.open_socket(ended)
            proxy.cut()
            await here.bff.sessions.end(ended.name, EndReason.LOGOUT)
            await until(lambda: not there.bff.store.is_hearing)
            with pytest.raises(StoreUnavailable):
                await there.cache.get(ended.name)
            assert there.closed == [], "an outage is no end"
            proxy.restore()
            await until(lambda: there.closed == [(CloseCode.SESSION_ENDED, "expired")])
            assert await there.cache.get(ended.name) is None
            assert await there.cache.get(kept.name) is not None


async def test_a_session_cached_before_an_interruption_is_read_again_after_it(redis: Deployment, prefix: str) -> None:
    async with (
        tcp_proxy(redis.servers[0].port) as proxy,
        worker(f"redis://127.0.0.1:{proxy.port}/3", prefix) as there,
    ):
        session = await sign_in(there.bff)
        told: list[SessionEvent] = []
        there.bff.store.subscribe(told.append)
        await until(lambda: there.bff.store.is_hearing)
        told.clear()
        proxy.cut()
        proxy.restore()
        first = await there.cache.get(session.name)
        assert first is not None
        await heard(told, EverythingUnknown())
        assert await there.cache.get(session.name) is not first
