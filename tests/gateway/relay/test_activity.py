"""Messages of a person extend the idle time of the session, and cost nothing while that is not due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message

from bff.assembly import assemble
from bff.errors import StoreUnavailable
from bff.stores.protocol import Store
from gateway.access.session_cache import TOUCH_SECONDS, LiveSession, SessionCache
from gateway.relay.activity import Activity
from gateway.relay.use import MessageRule
from tests.bff import factories
from tests.fakes import FakeClock


def is_message(message: Message) -> bool:
    return bool(message["type"] == "websocket.receive")


class House:
    """One signed-in person with an open socket. `say` is one message of theirs, `tasks` what was started for it."""

    def __init__(self, live: LiveSession, cache: SessionCache, *, store: Store, clock: FakeClock) -> None:
        self.live, self.cache, self.store, self.clock = live, cache, store, clock
        self.activity = Activity(cache)

    async def say(self, message: Message, *, is_use: MessageRule | None = is_message) -> int:
        async def receive() -> Message:
            return message

        before = asyncio.all_tasks()
        await self.activity.noticing(receive, self.live, is_use)()
        started = asyncio.all_tasks() - before
        if started:
            await asyncio.wait(started)
        return len(started)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    clock = FakeClock()
    bff = assemble(factories.settings(), clock=clock)
    cache = SessionCache(bff)
    opened = await bff.sessions.open(replace(factories.opening(clock), login_started_at=await bff.store.now()))
    assert opened is not None
    live = await cache.get(opened.session.name)
    assert live is not None
    house = House(live, cache, store=bff.store, clock=clock)
    yield house
    await house.activity.aclose()
    cache.close()
    await bff.aclose()


TEXT: Message = {"type": "websocket.receive", "text": "hello"}


async def test_a_message_extends_the_idle_time_when_that_is_due(house: House) -> None:
    end = house.live.idle_expires_at
    house.clock.advance(TOUCH_SECONDS + 1)
    assert await house.say(TEXT) == 1
    assert house.live.idle_expires_at == end + TOUCH_SECONDS + 1


async def test_no_task_is_started_while_the_idle_time_need_not_be_extended(house: House) -> None:
    assert [await house.say(TEXT) for _ in range(5)] == [0] * 5
    house.clock.advance(TOUCH_SECONDS + 1)
    assert [await house.say(TEXT) for _ in range(5)] == [1, 0, 0, 0, 0]


async def test_a_socket_whose_session_left_the_cache_extends_the_idle_time_no_more_often(house: House) -> None:
    house.live = replace(house.live)  # what the socket was opened with; the cache will hold another copy
    house.cache.close()
    house.clock.advance(TOUCH_SECONDS + 1)
    assert [await house.say(TEXT) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"type": "websocket.disconnect", "code": 1000}, id="the end of the socket"),
        pytest.param({"type": "websocket.connect"}, id="the handshake"),
    ],
)
async def test_frames_that_are_not_messages_do_not_extend_the_idle_time(house: House, message: Message) -> None:
    house.clock.advance(TOUCH_SECONDS + 1)
    assert await house.say(message) == 0


@pytest.mark.parametrize("is_use", [None, lambda message: False], ids=["no message is", "this message is not"])
async def test_what_is_no_use_slides_nothing(house: House, is_use: MessageRule | None) -> None:
    house.clock.advance(TOUCH_SECONDS + 1)
    assert await house.say(TEXT, is_use=is_use) == 0


async def test_a_store_outage_does_not_disturb_the_socket_and_extending_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out(name: str) -> None:
        raise StoreUnavailable()

    house.clock.advance(TOUCH_SECONDS + 1)
    with monkeypatch.context() as patched:
        patched.setattr(house.cache, "get", out)
        assert await house.say(TEXT) == 1
    assert await house.say(TEXT) == 1


async def test_closing_waits_for_the_extensions_that_it_cancels(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()

    async def slow(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async def receive() -> Message:
        return TEXT

    monkeypatch.setattr(house.cache, "get", slow)
    house.clock.advance(TOUCH_SECONDS + 1)
    await house.activity.noticing(receive, house.live, is_message)()
    await asyncio.sleep(0)
    await house.activity.aclose()
    assert ended.is_set()


@pytest.mark.parametrize(
    "failure",
    [pytest.param(StoreUnavailable(), id="the store is out"), pytest.param(asyncio.CancelledError(), id="cancelled")],
)
async def test_a_failed_extension_is_tried_again_at_the_next_activity(
    house: House, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    end = house.live.idle_expires_at
    house.clock.advance(TOUCH_SECONDS + 1)
    with monkeypatch.context() as patched:

        async def fail(*_: object, **__: object) -> None:
            raise failure

        patched.setattr(type(house.store), "touch", fail)
        with pytest.raises(type(failure)):
            await house.cache.slide(house.live)
    assert house.cache.is_slide_due(house.live)
    await house.cache.slide(house.live)
    assert house.live.idle_expires_at == end + TOUCH_SECONDS + 1


async def test_parallel_requests_extend_a_session_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    writes, touch = 0, type(house.store).touch

    async def counted(*args: Any, **options: Any) -> float | None:
        nonlocal writes
        writes += 1
        await asyncio.sleep(0)
        return await touch(*args, **options)

    monkeypatch.setattr(type(house.store), "touch", counted)
    house.clock.advance(TOUCH_SECONDS + 1)
    await asyncio.gather(*(house.cache.slide(house.live) for _ in range(5)))
    assert writes == 1
