"""A real guarded server in a thread, with a small application behind it that records what reached it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop
from uvicorn.server import ServerState

from bff.settings.tables import LimitSettings, ServerSettings, Settings
from gateway.serving.server import build_server


@dataclass
class Recorder:
    """Answers every request with its body, and keeps what it saw.

    A path with `slow` waits, `early` reads no body, `halfway` begins its answer before it reads, `long` and a number
    answers with so many bytes, `drip` takes a second for its answer, `refused` opens no WebSocket.
    """

    requests: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    websockets: list[dict[str, Any]] = field(default_factory=list)
    broken_off: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        # A copy of the list when the request arrived, and the list itself, which would show later additions.
        self.requests.append(dict(scope, headers_at_start=list(scope["headers"])))
        if "slow" in scope["path"]:
            await asyncio.sleep(0.3)
        if "halfway" in scope["path"]:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        body = b""
        while "early" not in scope["path"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.broken_off.append(scope["path"])
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.bodies.append(body)
        answer = scope["raw_path"] + b" " + body
        if "long" in scope["path"]:
            answer = b"x" * int(scope["path"].rpartition("/")[2])
        if "halfway" in scope["path"]:
            await send({"type": "http.response.body", "body": answer})
            return
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while "drip" in scope["path"] and len(answer) > 1:
            await asyncio.sleep(1 / len(answer))
            await send({"type": "http.response.body", "body": answer[:1], "more_body": True})
            answer = answer[1:]
        await send({"type": "http.response.body", "body": answer})

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        self.websockets.append(scope)
        await receive()
        if "refused" in scope["path"]:
            await asyncio.sleep(0.2)
            await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message.get("bytes") or message["text"].encode()})

    @property
    def paths(self) -> list[str]:
        return [scope["path"] for scope in self.requests]


@dataclass(frozen=True)
class Front:
    port: int
    app: Recorder
    state: ServerState = field(repr=False)

    def start_afresh(self) -> None:
        """Forget what reached the application, after all requests have ended.

        An answer that ends a connection may come before the application has begun to handle the request.
        """
        wait_for(lambda: not self.state.connections and not self.state.tasks)
        for recorded in (self.app.requests, self.app.bodies, self.app.broken_off, self.app.websockets):
            recorded.clear()

    def connect(self, timeout: float = 5) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def exchange(self, data: bytes, *, timeout: float = 5) -> bytes:
        """Everything that comes back until the server closes the connection."""
        with self.connect(timeout) as client:
            client.sendall(data)
            return read_all(client)


def read_all(client: socket.socket) -> bytes:
    """Bytes up to the end of the connection.

    Raises:
        TimeoutError: the server keeps it open.
    """
    received = b""
    while chunk := client.recv(65_536):
        received += chunk
    return received


def is_cut_off(client: socket.socket, piece: bytes, *, pause: float, seconds: float = 20) -> bool:
    """Send `piece` again and again; True once the server has ended the connection, False after `seconds`."""
    deadline = time.monotonic() + seconds
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            client.sendall(piece)
            time.sleep(pause)
        return False
    return True


@contextmanager
def running(limits: LimitSettings | None = None, **server: Any) -> Iterator[Front]:
    """A front on a free port of 127.0.0.1, on uvloop as in production."""
    settings = Settings(limits=limits or LimitSettings(), server=ServerSettings(**server))
    app = Recorder()
    listener = socket.create_server(("127.0.0.1", 0))
    guarded = build_server(app, settings)
    thread = threading.Thread(target=lambda: uvloop.run(guarded.serve(sockets=[listener])))
    port = listener.getsockname()[1]
    thread.start()
    try:
        yield Front(port, app, guarded.server_state)
    finally:
        guarded.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def wait_for(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)
