"""A browser at a page route with two upstreams, and which of them gets what it sends."""

from __future__ import annotations

from collections.abc import Callable
from socket import socket as Socket
from typing import Any, Protocol

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.raw import RawAnswer, handshake, read_close

SAME_ORIGIN = "Sec-Fetch-Site: same-origin"
NAVIGATION = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none", "Accept: text/html")
STREAM = "/_stcore/stream"
Pair = tuple[RecordingUpstream, RecordingUpstream]


def routes(*upstreams: str, **over: Any) -> list[dict[str, Any]]:
    """An API at /api/ and a page at / with the same upstreams."""
    how = {"upstream": list(upstreams), "timeouts": {"connect": 0.4, "first_byte": 5, "idle": 5}, **over}
    return [api_route("") | how, page_route("") | how]


def place_of(pair: Pair, ask: Callable[[], int]) -> int:
    """Which of the two got what `ask` sent."""
    for each in pair:
        each.clear()
    assert ask() in (101, 200)
    (place,) = [number for number, each in enumerate(pair) if each.requests]
    return place


class Door(Protocol):
    """A front door that a browser can reach."""

    @property
    def host(self) -> str: ...

    def get_raw(self, path: str, *headers: str) -> RawAnswer: ...

    def open_websocket(self, request: bytes, *, timeout: float = 5) -> tuple[RawAnswer, Socket]: ...


class Tab:
    """A browser at a page route: each kind of request, and the cookies that it gets."""

    def __init__(self, door: Door, pair: Pair, cookie: str) -> None:
        self.door, self.pair = door, pair
        self.cookies = {"vestibule": cookie} if cookie else {}

    def get(self, path: str, *lines: str) -> int:
        return place_of(self.pair, lambda: self._keep(self.door.get_raw(path, SAME_ORIGIN, *lines, self._line())))

    def navigate(self) -> int:
        return place_of(self.pair, lambda: self._keep(self.door.get_raw("/", *NAVIGATION, self._line())))

    def socket(self) -> int:
        def ask() -> int:
            self.open().close()
            return 101

        return place_of(self.pair, ask)

    def open(self) -> Socket:
        """A new WebSocket of the page."""
        answer, client = self.door.open_websocket(handshake(STREAM, self.door.host, self._line()))
        assert self._keep(answer) == 101
        return client

    def resume(self) -> tuple[int, str]:
        """How a socket that resumes a Streamlit session is closed within half a second; (0, "") if it stays open."""
        request = handshake(STREAM, self.door.host, self._line(), subprotocols="streamlit, x, a-session-id")
        answer, client = self.door.open_websocket(request, timeout=0.5)
        assert self._keep(answer) == 101
        with client:
            if answer.body:  # the close frame came together with the answer
                return int.from_bytes(answer.body[2:4], "big"), answer.body[4:].decode()
            try:
                return read_close(client)
            except TimeoutError:
                return 0, ""

    def everything(self) -> set[int]:
        """The upstreams that get the socket of a page, and everything else that the page sends."""
        places = {self.socket(), self.get("/media/1.png"), self.get("/_stcore/health"), self.navigate()}
        return places | {self.get("/_stcore/host-config"), self.get("/component/x.js")}

    def _line(self) -> str:
        return "Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _keep(self, answer: RawAnswer) -> int:
        for line in answer.all("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            assert "HttpOnly" in line
            assert "Domain" not in line
            self.cookies[name] = value
        return answer.status
