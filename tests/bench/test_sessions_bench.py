"""What a session costs: opening, resuming, and its bytes in Redis. Only ratios within one run mean something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bff.contract import Identity
from bff.sessions.keyring import Keyring
from bff.sessions.lifecycle import Opening, Sessions
from bff.sessions.record import TokenSet
from bff.settings.tables import SessionSettings, Settings
from bff.stores import open_store
from bff.stores.protocol import Store
from tests.bench.table import print_table
from tests.bff.factories import resume
from tests.front_door import KEY
from tests.ports import free_port

pytestmark = [pytest.mark.bench, pytest.mark.timeout(120)]
OPENED = 500
RESUMED = 2_000
TOKEN = "x" * 1_200
"""About the length of a provider's JWT with a few roles."""


def opening(number: int) -> Opening:
    identity = Identity(
        sub=f"person-{number}",
        iss="https://idp.example.com/realms/corp",
        provider="corp",
        name="Ada Example",
        email="ada@example.com",
        roles=("analyst", "admin"),
        groups=("science",),
        claims={"locale": "en", "department": "biology"},
    )
    tokens = TokenSet(access_token=TOKEN, refresh_token=TOKEN, id_token=TOKEN, obtained_at=1, expires_at=2)
    return Opening(
        identity=identity,
        tokens=tokens,
        sid=f"sid-{number}",
        origin="https://a.example.com",
        login_started_at=time.time(),
    )


@asynccontextmanager
async def redis_store(program: Path, folder: Path) -> AsyncIterator[tuple[Store, str]]:
    port = free_port()
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--daemonize", "no"]
    server = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    store = open_store(Settings(store={"url": url}), clock=time.time)
    try:
        for _ in range(100):
            try:
                await store.ping()
                break
            except Exception:
                await asyncio.sleep(0.05)
        yield store, url
    finally:
        await store.aclose()
        server.terminate()
        await server.wait()


async def microseconds(work: Callable[[int], Awaitable[object]], times: int) -> float:
    began = time.perf_counter()
    for number in range(times):
        await work(number)
    return (time.perf_counter() - began) / times * 1e6


async def measure(store: Store) -> tuple[float, float]:
    """Microseconds to open and to resume one session."""
    sessions = Sessions(store, Keyring([KEY.encode()]), SessionSettings())
    cookies: list[str] = []

    async def open_one(number: int) -> None:
        opened = await sessions.open(opening(number))
        assert opened is not None
        cookies.append(opened.cookie)

    async def resume_one(number: int) -> None:
        assert await resume(sessions, cookies[number % len(cookies)]) is not None

    return await microseconds(open_one, OPENED), await microseconds(resume_one, RESUMED)


async def test_the_bench_opens_and_resumes_sessions(component: Callable[[str], Path], tmp_path: Path) -> None:
    memory = open_store(Settings(), clock=time.time)
    in_memory = await measure(memory)
    async with redis_store(component("redis-server"), tmp_path) as (store, url):
        in_redis = await measure(store)
        async with Redis.from_url(url) as client:
            used = [await client.memory_usage(key) async for key in client.scan_iter(count=1000)]
        per_session = sum(size or 0 for size in used) / OPENED
    print_table(
        "sessions",
        ("", "memory", "Redis", "ratio"),
        [
            ("open, µs", *in_memory[:1], *in_redis[:1], in_redis[0] / in_memory[0]),
            ("resume, µs", *in_memory[1:], *in_redis[1:], in_redis[1] / in_memory[1]),
            ("bytes per session", "", per_session, ""),
        ],
    )
    assert per_session < 16_384
