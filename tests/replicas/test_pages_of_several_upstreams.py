"""DS-7 with two workers of one real front door: both see that an upstream is gone, and a page stays together."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bff.stores.redis_servers import Deployment
from tests.fakes import FakeProvider, RecordingUpstream
from tests.replicas.replica_set import Replica, ReplicaSet, running_replicas, until
from tests.security.page_places import Pair, Tab
from tests.security.raw import RawAnswer, open_websocket, read_close

Workers = tuple["Worker", "Worker"]
PEOPLE = 16
"""So many that at least two are at the first upstream; one run in four thousand has fewer."""


@dataclass(frozen=True)
class Worker:
    """One of two workers behind one port. While it is asked, the other one is stopped and accepts nothing."""

    replica: Replica
    pid: int
    other: int

    @property
    def host(self) -> str:
        return self.replica.host

    def get_raw(self, path: str, *headers: str) -> RawAnswer:
        with self.replica.frozen(self.other):
            return self.replica.send(path, *headers)

    def post(self, tab: Tab) -> int:
        """Send a request that must not be repeated."""
        cookies = "; ".join(f"{name}={value}" for name, value in tab.cookies.items())
        with self.replica.frozen(self.other):
            return self.replica.post_form("/save", "a=1", "Sec-Fetch-Site: same-origin", cookie=cookies).status

    def open_websocket(self, request: bytes, *, timeout: float = 5) -> tuple[RawAnswer, socket.socket]:
        with self.replica.frozen(self.other):
            answer, client = open_websocket(self.replica.port, request, timeout=timeout)
            assert holds(self.pid, client)
            return answer, client


def holds(pid: int, client: socket.socket) -> bool:
    """True if process `pid` has the other end of `client`, as /proc shows it."""
    ours, theirs = (f":{address[1]:04X}" for address in (client.getsockname(), client.getpeername()))
    table = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in table if row[1].endswith(theirs) and row[2].endswith(ours)]
    links = (entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir())
    return f"socket:[{inode}]" in {str(link) for link in links}


@pytest.fixture
def pair() -> Iterator[Pair]:
    with RecordingUpstream() as one, RecordingUpstream() as other:
        yield one, other


@pytest.fixture
def doors(
    provider: FakeProvider, upstream: RecordingUpstream, redis: Deployment, pair: Pair, tmp_path: Path
) -> Iterator[ReplicaSet]:
    """One `vestibule run` with two workers on a real Redis."""
    with running_replicas(
        1, tmp_path, provider=provider, upstream=upstream, store=redis.url, workers=2, pages=pair
    ) as doors:
        yield doors


@pytest.fixture
def workers(doors: ReplicaSet) -> Workers:
    one, other = doors[0].workers
    return Worker(doors[0], one, other), Worker(doors[0], other, one)


@pytest.fixture
def tabs(doors: ReplicaSet, workers: Workers, pair: Pair) -> list[Tab]:
    """Tabs of many people, whose pages have opened their sockets. Two or more are at the first upstream."""
    found = [Tab(workers[0], pair, doors.sign_in().partition("=")[2]) for _ in range(PEOPLE)]
    assert [tab.socket() for tab in found].count(0) >= 2
    return found


def mark_of(tab: Tab) -> str:
    (mark,) = [value for name, value in tab.cookies.items() if name.startswith("vestibule-at-")]
    return mark


def without_mark(tab: Tab, worker: Worker) -> Tab:
    """The same person with another browser."""
    return Tab(worker, tab.pair, tab.cookies["vestibule"])


def test_ds_7_a_page_goes_on_through_both_workers_when_its_upstream_is_gone(
    doors: ReplicaSet, workers: Workers, tabs: list[Tab], pair: Pair
) -> None:
    at_home = [tab for tab in tabs if tab.get("/x") == 0]
    first, second = at_home[:2]
    with ExitStack() as sockets:
        opened = []
        for worker in workers:
            first.door = worker
            assert first.everything() == {0}  # both workers agree before
            opened.append(sockets.enter_context(first.open()))
        pair[0].stop()
        assert [read_close(client)[0] for client in opened] == [1013, 1013]

    # Each worker finds out by itself, with a request that must not be sent twice.
    for worker in workers:
        before = len(pair[1].requests)
        assert worker.post(first) == 200
        assert [request.body for request in pair[1].requests[before:]] == [b"a=1"]
    until(lambda: len(doors[0].events("upstream_down")) >= 2, seconds=5)
    events = doors[0].events("upstream_down")
    assert len(events) == 2, events  # once for every worker
    assert {event["detail"].partition(": ")[0] for event in events} == {pair[0].url}

    for worker in workers:
        first.door = worker
        assert first.get("/x") == 1

    # Whichever worker gets the page's new socket tells the page; then no worker tells it again.
    for tab, worker, other in zip((first, second), workers, workers[::-1], strict=True):
        tab.door = worker
        old = mark_of(tab)
        assert tab.resume() == (1012, "moved")
        moved = mark_of(tab)
        assert re.fullmatch(r"[0-9a-f]{16}", moved)
        assert moved != old
        for each in (other, worker):
            tab.door = each
            assert tab.resume() == (0, "")
            assert tab.everything() == {1}
            assert mark_of(tab) == moved
            another = without_mark(tab, each)
            assert another.socket() == 1
            assert mark_of(another) == moved  # each worker makes the same mark


def test_ds_7_a_moved_page_stays_together_through_both_workers_when_its_upstream_is_back(
    doors: ReplicaSet, workers: Workers, tabs: list[Tab], pair: Pair
) -> None:
    tab = next(tab for tab in tabs if tab.get("/x") == 0)
    pair[0].stop()
    for worker in workers:
        another = without_mark(tab, worker)
        assert another.navigate() == another.socket() == 1
    assert tab.resume() == (1012, "moved")
    pair[0].start()

    def is_back(worker: Worker) -> bool:
        """True once a browser of the same person that moved nowhere gets to the first upstream again."""
        return without_mark(tab, worker).get("/x") == 0

    until(lambda: is_back(workers[0]), seconds=10)
    # One worker knows that it is back; the other one may not. The page stays where it is, through both.
    for worker in workers:
        tab.door = worker
        assert tab.everything() == {1}
        assert tab.resume() == (0, "")
    until(lambda: is_back(workers[1]), seconds=10)
    until(lambda: len(doors[0].events("upstream_back")) == 2, seconds=5)
    for worker in workers:
        tab.door = worker
        assert tab.everything() == {1}


def test_ds_7_pages_go_on_when_the_worker_that_knew_ends(
    doors: ReplicaSet, workers: Workers, tabs: list[Tab], pair: Pair
) -> None:
    """The worker that is started in its place knows nothing of the upstream, and reads the same marks."""
    tab = next(tab for tab in tabs if tab.get("/x") == 0)
    pair[0].stop()
    assert tab.resume() == (1012, "moved")
    os.kill(workers[0].pid, signal.SIGKILL)
    until(lambda: set(doors[0].workers) - {each.pid for each in workers}, seconds=10)
    (fresh,) = set(doors[0].workers) - {each.pid for each in workers}
    for worker in (Worker(doors[0], fresh, workers[1].pid), Worker(doors[0], workers[1].pid, fresh)):
        tab.door = worker
        assert tab.get("/x") == 1  # a new worker may still be starting
        assert tab.resume() == (0, "")
        assert tab.everything() == {1}
        assert worker.post(tab) == 200
