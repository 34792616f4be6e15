"""Events between processes: every kind of deployment delivers each of them once, within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bff.contract import EndReason
from bff.stores.events import (
    EverythingUnknown,
    SessionChanged,
    SessionEvent,
    SessionsEnded,
    event_from_wire,
    event_to_wire,
)
from tests.bff.stores.conftest import KINDS, OpenRedis
from tests.bff.stores.neighbour import neighbour
from tests.bff.stores.redis_servers import Deployment
from tests.bff.stores.store_contract import fresh, heard, until


@pytest.fixture(params=list(KINDS))
def deployment(request: pytest.FixtureRequest, deployment_of: Callable[[str], Deployment]) -> Deployment:
    return deployment_of(request.param)


async def test_another_store_hears_an_event(deployment: Deployment, open_redis: OpenRedis) -> None:
    here, there = open_redis(deployment.url), open_redis(deployment.url)
    told: list[SessionEvent] = []
    there.subscribe(told.append)
    await until(lambda: there.is_hearing)
    for event in (SessionChanged(fresh()), SessionsEnded(EndReason.REVOKED, owner=fresh("owner"), at=1.5)):
        await here.publish(event)
        await heard(told, event)
    assert not here.is_hearing, "nobody listens here"


async def test_another_process_hears_an_event(standalone: Deployment, open_redis: OpenRedis, prefix: str) -> None:
    store = open_redis(standalone.url)
    told: list[SessionEvent] = []
    store.subscribe(told.append)
    await until(lambda: store.is_hearing)
    async with neighbour(standalone.url, prefix) as other:
        await other.ask("end", "some-record")
        await heard(told, SessionsEnded(EndReason.REVOKED, name="some-record"))


async def test_listening_costs_four_heartbeats_a_second(
    standalone: Deployment, open_redis: OpenRedis, prefix: str
) -> None:
    store = open_redis(standalone.url)
    store.subscribe(lambda event: None)
    await until(lambda: store.is_hearing)
    with standalone.servers[0].client() as raw, raw.pubsub() as ear:
        ear.psubscribe(f"{prefix}heartbeat:*")
        await asyncio.sleep(1)
        beats = 0
        while message := ear.get_message(timeout=0.01):
            beats += message["type"] == "pmessage"
    assert 2 <= beats <= 5
    assert store.is_hearing


async def test_a_store_of_another_prefix_hears_nothing(
    standalone: Deployment, open_redis: OpenRedis, prefix: str
) -> None:
    store = open_redis(standalone.url)
    told: list[SessionEvent] = []
    store.subscribe(told.append)
    await until(lambda: store.is_hearing)
    async with neighbour(standalone.url, prefix + "other:") as other:
        await other.ask("end", "some-record")
    await asyncio.sleep(0.2)
    assert told == [EverythingUnknown()]


async def test_listening_that_starts_before_the_event_loop_begins_with_the_first_operation(
    standalone: Deployment, open_redis: OpenRedis
) -> None:
    store = open_redis(standalone.url)
    told: list[SessionEvent] = []
    await asyncio.to_thread(store.subscribe, told.append)
    assert not store.is_hearing
    await store.load("x")
    await heard(told, EverythingUnknown())


async def test_an_event_of_a_later_version_means_that_events_may_be_lost(
    standalone: Deployment, open_redis: OpenRedis, prefix: str
) -> None:
    store = open_redis(standalone.url)
    told: list[SessionEvent] = []
    store.subscribe(told.append)
    await until(lambda: store.is_hearing)
    with standalone.servers[0].client() as raw:
        for wire in (b'someone {"e":"moved"}', b"", b"someone [", b'someone {"e":"ended"}'):
            told.clear()
            raw.publish(f"{prefix}events", wire)
            await heard(told, EverythingUnknown())


async def test_a_lost_heartbeat_means_that_events_may_be_lost(
    standalone: Deployment, open_redis: OpenRedis, prefix: str
) -> None:
    store = open_redis(standalone.url)
    told: list[SessionEvent] = []
    store.subscribe(told.append)
    await until(lambda: store.is_hearing)
    with standalone.servers[0].client() as raw:
        raw.execute_command("CLIENT", "NO-EVICT", "on")
        # Publishing is refused for a moment, so one heartbeat with its number never arrives.
        raw.execute_command("ACL", "SETUSER", "default", "-publish")
        await asyncio.sleep(0.35)
        told.clear()
        raw.execute_command("ACL", "SETUSER", "default", "+publish")
    await heard(told, EverythingUnknown())
    await until(lambda: store.is_hearing)


async def test_an_error_in_a_listener_does_not_end_the_listening(standalone: Deployment, open_redis: OpenRedis) -> None:
    here, there = open_redis(standalone.url), open_redis(standalone.url)
    told: list[SessionEvent] = []

    def fail_once(event: SessionEvent) -> None:
        told.append(event)
        if event == SessionChanged("bad"):
            raise RuntimeError("a listener with a fault")

    there.subscribe(fail_once)
    await until(lambda: there.is_hearing)
    await here.publish(SessionChanged("bad"))
    await heard(told, SessionChanged("bad"))
    told.clear()
    await heard(told, EverythingUnknown())
    await here.publish(SessionChanged("good"))
    await heard(told, SessionChanged("good"))


async def test_a_closed_store_sends_and_receives_no_events(standalone: Deployment, open_redis: OpenRedis) -> None:
    here, there = open_redis(standalone.url), open_redis(standalone.url)
    told: list[SessionEvent] = []
    there.subscribe(told.append)
    await until(lambda: there.is_hearing)
    await there.aclose()
    told.clear()
    await here.publish(SessionChanged("x"))
    await asyncio.sleep(0.1)
    assert told == []
    assert not there.is_hearing


@pytest.mark.parametrize(
    "event",
    [
        SessionChanged("n"),
        SessionsEnded(EndReason.SUPERSEDED, name="n"),
        SessionsEnded(EndReason.REVOKED, owner="o", at=1_800_000_000.123456),
        EverythingUnknown(),
    ],
)
def test_an_event_arrives_unchanged(event: SessionEvent) -> None:
    assert event_from_wire(event_to_wire(event)) == event
