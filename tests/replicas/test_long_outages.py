"""Outages of realistic length: a store that does not answer for half a minute or longer, and a primary that dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.crc import key_slot

from bff.settings.tables import StoreSettings
from tests.bff.stores.redis_servers import Deployment, cluster, start_server, with_sentinels
from tests.bff.stores.test_redis_failover import is_primary, move_slot
from tests.fakes import FakeProvider, RecordingUpstream
from tests.ports import free_port
from tests.replicas.replica_set import ReplicaSet, running_replicas, until
from tests.replicas.store_wire import StoreWire
from tests.replicas.traffic import Arrivals, Watch
from tests.replicas.visits import open_connections
from tests.security.raw import read_close

pytestmark = [pytest.mark.long, pytest.mark.timeout(240), pytest.mark.component("redis-server")]
CUT_SECONDS = 30
TRUSTED_SECONDS = 1
BACK_SECONDS = 5
OUTAGE_SECONDS = StoreSettings().outage_seconds


def all_signed_in(doors: ReplicaSet, cookie: str) -> bool:
    return all(replica.call_api(cookie).status == 200 for replica in doors)


def test_fm_1_a_store_outage_of_thirty_seconds_signs_nobody_out_and_closes_no_page(
    wire: StoreWire, provider: FakeProvider, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    with running_replicas(
        3, tmp_path, provider=provider, upstream=upstream, store=wire.url, outage_seconds=OUTAGE_SECONDS
    ) as doors:
        cookie = doors.sign_in()
        watch = Watch(doors, cookie)
        with open_connections(doors, doors[0], cookie) as there, watch.running():
            with wire.cut():
                cut_at = time.monotonic()
                time.sleep(CUT_SECONDS)
                fixed_at = time.monotonic()
            until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)
            back_at = time.monotonic()
            time.sleep(3)
            assert there.is_echoed(b"the same socket as before")
        assert watch.statuses() == {200, 503}
        assert watch.statuses(since=cut_at + TRUSTED_SECONDS, until=fixed_at) == {503}
        assert watch.statuses(since=back_at) == {200}
        watch.check_that_no_cookie_was_touched()
        check_that_a_longer_outage_closes_what_is_open(doors, wire, cookie)


def check_that_a_longer_outage_closes_what_is_open(doors: ReplicaSet, wire: StoreWire, cookie: str) -> None:
    with open_connections(doors, doors[1], cookie, timeout=OUTAGE_SECONDS + 20) as there, wire.cut():
        cut_at = time.monotonic()
        assert read_close(there.websocket) == (1013, "unavailable")
        there.read_stream_to_its_end()
        assert OUTAGE_SECONDS - 2 < time.monotonic() - cut_at < OUTAGE_SECONDS + 5
    until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)


def test_a_failover_under_load_loses_no_confirmed_session(
    component: Callable[[str], Path], provider: FakeProvider, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """Everybody who got a cookie is signed in after the primary died. Nobody is anonymous in between."""
    program = component("redis-server")
    with (
        with_sentinels(program, tmp_path / "redis") as deployment,
        running_replicas(2, tmp_path, provider=provider, upstream=upstream, store=deployment.url) as doors,
    ):
        first = doors.sign_in("alice")
        arrivals, watch = Arrivals(doors), Watch(doors, first)
        with watch.running(), arrivals.running():
            until(lambda: len(arrivals.cookies) >= 20, seconds=30)
            deployment.servers[0].kill()
            killed = time.monotonic()
            until(lambda: is_primary(deployment.servers[1]), seconds=30)
            # The one replica became primary and has none itself: nobody new is let in until there is another.
            port = free_port()
            following = ("--replicaof", "127.0.0.1", str(deployment.servers[1].port))
            third = start_server(program, tmp_path / "third", port, *following)
            try:
                count = len(arrivals.cookies)
                until(lambda: len(arrivals.cookies) >= count + 20, seconds=40)
            finally:
                third.kill()
        lost = [cookie for cookie in [first, *arrivals.cookies] if doors[0].call_api(cookie).status != 200]
        assert lost == []
        assert watch.statuses(since=killed) == {200, 503}, "never anonymous, and the failover was felt"
        watch.check_that_no_cookie_was_touched()


def test_moving_cluster_slots_under_running_front_doors_signs_nobody_out_and_refuses_no_request(
    component: Callable[[str], Path], provider: FakeProvider, upstream: RecordingUpstream, tmp_path: Path
) -> None:
    """A Redis Cluster is resharded while three processes sign people in and serve them."""
    with (
        cluster(component("redis-server"), tmp_path / "redis") as deployment,
        running_replicas(3, tmp_path, provider=provider, upstream=upstream, store=deployment.url) as doors,
    ):
        first = doors.sign_in("alice")
        arrivals, watch = Arrivals(doors), Watch(doors, first)
        with watch.running(), arrivals.running():
            until(lambda: len(arrivals.cookies) >= 20, seconds=30)
            for _ in range(3):
                for slot in slots_in_use(deployment)[:40]:
                    move_slot(deployment, slot)
            count = len(arrivals.cookies)
            until(lambda: len(arrivals.cookies) >= count + 20, seconds=30)
        assert all(all_signed_in(doors, cookie) for cookie in [first, *arrivals.cookies])
        assert watch.statuses() == {200}
        watch.check_that_no_cookie_was_touched()


def slots_in_use(deployment: Deployment) -> list[int]:
    """Slots that hold a key now, in random order."""
    found: set[int] = set()
    for server in deployment.servers:
        with server.client() as client:
            found |= {key_slot(key) for key in client.keys("*")}
    return list(found)
