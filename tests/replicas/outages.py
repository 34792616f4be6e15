"""What a test watches while the store is away: everything that asks for it, over and over, at every process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.replicas.replica_set import SAME_ORIGIN, Replica, ReplicaSet
from tests.security.raw import RawAnswer, handshake, open_websocket

TRUSTED_SECONDS = 1.0
"""After the cut what is remembered may count for so long (FM-1)."""
PAUSE_SECONDS = 0.03
NAVIGATION = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html")


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer: when its request began and ended (monotonic), and what it was."""

    began: float
    ended: float
    replica: int
    path: str
    answer: RawAnswer


@dataclass(eq=False)
class Watch:
    """Signed-in requests to each process in turn, each on a thread of its own."""

    doors: ReplicaSet
    cookie: str
    path: str = "/page"
    seen: list[Seen] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[Watch]:
        with ThreadPoolExecutor(len(self.doors.replicas)) as pool:
            jobs = [pool.submit(self._ask, number) for number in range(len(self.doors.replicas))]
            try:
                yield self
            finally:
                self._stopping.set()
            for job in jobs:
                job.result()

    def _ask(self, number: int) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            answer = self.doors[number].send(self.path, *SAME_ORIGIN, cookie=self.cookie)
            self.seen.append(Seen(began, time.monotonic(), number, self.path, answer))
            time.sleep(PAUSE_SECONDS)

    def statuses(self, *, since: float = 0.0, until: float = float("inf")) -> set[int]:
        """Of requests that began and ended in between."""
        return {each.answer.status for each in self.seen if since <= each.began and each.ended <= until}

    def check_that_no_cookie_was_touched(self) -> None:
        assert not [each for each in self.seen if each.answer.all("set-cookie")]


def answers_without_a_store(at: Replica, cookie: str, handle: str) -> dict[str, RawAnswer]:
    """Everything that cannot be answered without the store, asked once."""
    kit = f"X-Vestibule-Session: {handle}"
    answer, client = open_websocket(at.port, handshake("/ws", at.host, f"Cookie: {cookie}"), timeout=10)
    client.close()
    return {
        "websocket": answer,
        "api": at.call_api(cookie),
        "navigation": at.send("/page", *NAVIGATION, cookie=cookie),
        "optional route": at.send("/optional/x", *SAME_ORIGIN, cookie=cookie),
        "session": at.send("/auth/session", *SAME_ORIGIN, cookie=cookie),
        "login": at.send("/auth/login", *NAVIGATION),
        "logout": at.post_form("/auth/logout", "", *SAME_ORIGIN, cookie=cookie),
        "logout everywhere": at.post_form("/auth/logout", "everywhere=1", *SAME_ORIGIN, cookie=cookie),
        "kit call": at.call_kit("/api/x", kit, method="GET"),
        "kit token": at.call_kit("/auth/kit/token", kit, value={"audience": "models-api"}),
        "kit exchange": at.call_kit("/auth/kit/exchange", value={"code": "c" * 43, "binding": "b" * 43}),
        "own sessions": at.send("/auth/sessions", *SAME_ORIGIN, cookie=cookie),
    }


def echoes(websocket: socket.socket, text: bytes) -> bool:
    """True when a short text message comes back; masked with zeros, which leaves it as it is."""
    websocket.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
    expected = bytes([0x81, len(text)]) + text
    received = b""
    while len(received) < len(expected) and (chunk := websocket.recv(len(expected) - len(received))):
        received += chunk
    return received == expected
