"""What people, pages and providers do at the front doors, step by step."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlsplit

from tests.fakes import FakeProvider, is_grant
from tests.fakes.replies import Step
from tests.replicas.replica_set import KIT_ORIGIN, SAME_ORIGIN, Replica, ReplicaSet, session_cookie
from tests.security.raw import RawAnswer, connect, handshake, open_websocket

REFRESH = is_grant("refresh_token")
LIFETIME = 2
"""How many seconds an access token lives if a test waits for its end."""
NAVIGATION = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html")
BINDING = base64.urlsafe_b64encode(hashlib.sha256(b"the page's browser").digest()).decode().rstrip("=")
EVENTS: list[Step] = [b"data: first\n\n", *(step for _ in range(2000) for step in (0.05, b"data: more\n\n"))]
"""An event stream of a hundred seconds."""


def expired(doors: ReplicaSet, *people: str) -> list[str]:
    """Sessions whose access tokens are dead; the next ones live long."""
    doors.provider.options.access_token_lifetime = LIFETIME
    cookies = [doors.sign_in(person) for person in people]
    doors.provider.options.access_token_lifetime = 300
    time.sleep(LIFETIME + 0.1)
    return cookies


def tokens_at_upstream(doors: ReplicaSet) -> list[str]:
    return [(request.header("authorization") or "").removeprefix("Bearer ") for request in doors.upstream.requests]


def is_refreshing(provider: FakeProvider) -> bool:
    return any(REFRESH(hit) for hit in provider.hits_of("token"))


def by_back_channel(at: Replica, token: str) -> int:
    """Status of a back-channel logout with this token."""
    return at.post_form("/auth/backchannel-logout/corp", f"logout_token={token}").status


def code_for(doors: ReplicaSet) -> tuple[str, str]:
    """Do a complete sign-in in auth-code mode.

    Return the one-time code and the session cookie of the browser that began.
    """
    target = quote(f"{KIT_ORIGIN}/page", safe="")
    path, transaction = doors.start_login(doors[0], f"?kit=dashboards&binding={BINDING}&return_to={target}")
    answer = doors[1].send(path, cookie=transaction)
    location = urlsplit(answer.header("location"))
    assert f"{location.scheme}://{location.netloc}" == KIT_ORIGIN
    return parse_qs(location.query)["auth_code"][0], session_cookie(answer)


def redeem(at: Replica, code: str, *, binding: str = BINDING, client: str = "dashboards") -> RawAnswer:
    return at.call_kit("/auth/kit/exchange", client=client, value={"code": code, "binding": binding})


@dataclass(frozen=True, slots=True)
class OpenConnections:
    """A WebSocket and an event stream of one person at one process."""

    websocket: socket.socket
    stream: socket.socket

    def read_stream_to_its_end(self) -> None:
        try:
            while self.stream.recv(65_536):
                continue
        except ConnectionResetError:
            return

    def is_echoed(self, text: bytes) -> bool:
        """True when a short text message comes back, pings passed over; masked with zeros, which leaves it as it is."""
        self.websocket.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        while True:
            opcode, payload = self._read_frame()
            if opcode != 9:
                return (opcode, payload) == (1, text)

    def _read_frame(self) -> tuple[int, bytes]:
        first, size = self.websocket.recv(2, socket.MSG_WAITALL)
        return first & 0x0F, self.websocket.recv(size, socket.MSG_WAITALL) if size else b""


@contextmanager
def open_connections(doors: ReplicaSet, at: Replica, cookie: str, *, timeout: float = 10) -> Iterator[OpenConnections]:
    """Both opened at one process, and read up to their first bytes."""
    doors.upstream.respond("/events", stream=EVENTS, chunked=True)
    answer, websocket = open_websocket(at.port, handshake("/ws", at.host, f"Cookie: {cookie}"), timeout=timeout)
    assert answer.status == 101
    stream = connect(at.port, timeout=timeout)
    stream.sendall(at.request("/events", *SAME_ORIGIN, cookie=cookie))
    received = b""
    while b"data: first" not in received:
        received += stream.recv(4096)
    try:
        yield OpenConnections(websocket, stream)
    finally:
        websocket.close()
        stream.close()


def what_needs_the_store(at: Replica, cookie: str, handle: str) -> dict[str, RawAnswer]:
    """Send each request that cannot be answered without the store, once."""
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
