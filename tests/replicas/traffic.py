"""People who send requests all the time while something happens, and what each of them got, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from tests.replicas.replica_set import SAME_ORIGIN, ReplicaSet, session_cookie
from tests.security.raw import RawAnswer

PAUSE_SECONDS = 0.03


@contextmanager
def repeating(*works: Callable[[], None], pause: float = PAUSE_SECONDS) -> Iterator[None]:
    """Do each of `works` again and again in a separate thread. What one of them raises is raised at the end."""
    stopping = threading.Event()

    def repeat(work: Callable[[], None]) -> None:
        while not stopping.wait(pause):
            work()

    with ThreadPoolExecutor(len(works)) as pool:
        jobs = [pool.submit(repeat, work) for work in works]
        try:
            yield
        finally:
            stopping.set()
    for job in jobs:
        job.result()


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when its request began and ended (monotonic), and where."""

    began: float
    ended: float
    replica: int
    answer: RawAnswer


@dataclass(eq=False)
class Watch:
    """One signed-in person at every process at once; each answer counts."""

    doors: ReplicaSet
    cookie: str
    seen: list[Seen] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        with repeating(*(partial(self._ask, number) for number in range(len(self.doors.replicas)))):
            while len({each.replica for each in self.seen}) < len(self.doors.replicas):
                time.sleep(0.01)
            yield

    def _ask(self, number: int) -> None:
        began = time.monotonic()
        answer = self.doors[number].send("/page", *SAME_ORIGIN, cookie=self.cookie)
        self.seen.append(Seen(began, time.monotonic(), number, answer))

    def statuses(self, *, since: float = 0.0, until: float = float("inf")) -> set[int]:
        """Of requests that began and ended in between."""
        return {each.answer.status for each in self.seen if since <= each.began and each.ended <= until}

    def check_that_no_cookie_was_touched(self) -> None:
        assert not [each for each in self.seen if each.answer.all("set-cookie")]


@dataclass(eq=False)
class Browsers:
    """A signed-in person behind a load balancer.

    It sends a request elsewhere if it failed before the first byte of the answer.
    """

    doors: ReplicaSet
    cookie: str
    statuses: list[int] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    repeated: int = 0
    _next: int = 0

    @contextmanager
    def running(self, count: int = 4) -> Iterator[None]:
        with repeating(*[self._browse] * count, pause=0.01):
            self.wait_for_more()
            yield

    def wait_for_more(self, count: int = 20) -> None:
        """Return when `count` more have been answered."""
        wanted, end = len(self.statuses) + count, time.monotonic() + 10
        while len(self.statuses) < wanted:
            assert time.monotonic() < end, "nobody is served"
            time.sleep(0.01)

    def _browse(self) -> None:
        self._next += 1
        for attempt in range(30):
            replica = self.doors[(self._next + attempt) % len(self.doors.replicas)]
            try:
                answer = replica.send("/page", *SAME_ORIGIN, cookie=self.cookie)
            except (ConnectionRefusedError, ConnectionResetError):
                answer = RawAnswer(0)
            if answer.received:
                self.statuses.append(answer.status)
                if not is_whole(answer):
                    self.broken.append(answer.received)
                return
            self.repeated += 1
            time.sleep(0.01)
        raise AssertionError("no process takes a request")


@dataclass(eq=False)
class Arrivals:
    """People who try to sign in, one after the other. `cookies` are those of the people who were let in."""

    doors: ReplicaSet
    cookies: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        with repeating(self._arrive):
            yield

    def _arrive(self) -> None:
        started = self.doors[0].send("/auth/login", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        if started.status != 302:
            assert started.status == 503, started
            return
        path, transaction = self.doors.at_provider(started)
        finished = self.doors[-1].send(path, cookie=transaction)
        if finished.status == 303:
            self.cookies.append(session_cookie(finished))
        else:
            assert finished.status in (400, 503), finished


def is_whole(answer: RawAnswer) -> bool:
    return answer.status > 0 and len(answer.body) == int(answer.header("content-length") or -1)
