"""The guarded server with only the relays behind it: what upstream and client see of each other."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bff.errors import AuthError
from bff.settings.tables import Settings
from gateway.access.paths import forward_target
from gateway.documents.insertion import HeadInserter
from gateway.documents.selection import Document, read_document
from gateway.headers.request import RawHeaders, RequestHygiene
from gateway.headers.response import ResponseHygiene
from gateway.serving.server import build_server
from gateway.upstream.asgi import AsgiUpstream
from gateway.upstream.http import HttpUpstream
from gateway.upstream.messages import BodyTransform, RelayResult, SocketEnd
from gateway.upstream.relay import relay_http
from gateway.upstream.socket_closer import SocketCloser
from gateway.upstream.websocket import relay_websocket
from gateway.upstream.websocket_client import WebSocketUpstream

SNIPPET = b'<script src="/auth/guard.js"></script>'


@dataclass
class RelayApp:
    """Relays everything to one upstream and keeps what the relays report. Attributes may be set before the start."""

    target: str
    max_body_bytes: int = 0
    max_client_message: int = 209_715_200
    max_upstream_message: int = 209_715_200
    timeouts: dict[str, Any] = field(default_factory=dict)
    max_connections: int = 100
    ssl_context: ssl.SSLContext | None = None
    extra_headers: RawHeaders = field(default_factory=list)
    results: list[RelayResult] = field(default_factory=list)
    errors: list[AuthError] = field(default_factory=list)
    ends: list[SocketEnd] = field(default_factory=list)
    closers: list[SocketCloser] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    """Why documents were not changed."""
    client_messages: int = 0
    http: HttpUpstream | None = None
    asgi: AsgiUpstream | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._relay_http(scope, receive, send)
        else:
            await self._relay_websocket(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.loop = asyncio.get_running_loop()
        if self.target.startswith("asgi:"):
            self.asgi = AsgiUpstream(self.target)
            await self.asgi.start()
        else:
            self.http = HttpUpstream(
                self.target, max_connections=self.max_connections, ssl_context=self.ssl_context, **self.timeouts
            )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.asgi is not None:
            await self.asgi.stop()
        if self.http is not None:
            await self.http.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _relay_http(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [*RequestHygiene().clean(scope["headers"]), *self.extra_headers]
        target = forward_target(scope["raw_path"], scope["query_string"])
        common: dict[str, Any] = {
            "request_headers": headers,
            "target": target,
            "max_body_bytes": self.max_body_bytes,
            "rewrite_response": self._rewrite,
        }
        try:
            if self.asgi is not None:
                result = await self.asgi.relay_http(scope, receive, send, root_path="/mounted", **common)
            else:
                assert self.http is not None
                result = await relay_http(scope, receive, send, upstream=self.http, **common)
        except AuthError as exc:
            self.errors.append(exc)
            await send(
                {"type": "http.response.start", "status": exc.status, "headers": [(b"x-code", exc.code.encode())]}
            )
            await send({"type": "http.response.body"})
        else:
            self.results.append(result)

    def _rewrite(self, status: int, headers: RawHeaders) -> tuple[RawHeaders, BodyTransform | None]:
        cleaned = ResponseHygiene(add_security_headers=False).clean(headers)
        document = read_document(status, cleaned)
        if isinstance(document, Document):
            inserter = HeadInserter(SNIPPET, cleaned, family=document.family, on_left_alone=self.left_alone.append)
            return cleaned, inserter
        return cleaned, None

    async def _relay_websocket(self, scope: Any, receive: Any, send: Any) -> None:
        closer = SocketCloser()
        self.closers.append(closer)
        common: dict[str, Any] = {
            "request_headers": [*RequestHygiene().clean(scope["headers"]), *self.extra_headers],
            "target": forward_target(scope["raw_path"], scope["query_string"]),
            "subprotocols": scope["subprotocols"],
            "max_client_message": self.max_client_message,
            "closer": closer,
            "on_client_message": self._count,
        }
        try:
            if self.asgi is not None:
                common["clean_answer"] = lambda _, headers: ResponseHygiene().clean_handshake(headers)
                end = await self.asgi.relay_websocket(scope, receive, send, root_path="", **common)
            else:
                end = await self._relay_to_socket(scope, receive, send, common)
        except AuthError as exc:
            self.errors.append(exc)
            await send({"type": "websocket.http.response.start", "status": exc.status, "headers": []})
            await send({"type": "websocket.http.response.body", "body": exc.code.encode()})
        else:
            self.ends.append(end)

    async def _relay_to_socket(self, scope: Any, receive: Any, send: Any, common: dict[str, Any]) -> SocketEnd:
        upstream = WebSocketUpstream(
            self.target, connect_timeout=self.timeouts.get("connect_timeout", 5), ssl_context=self.ssl_context
        )
        return await relay_websocket(
            scope, receive, send, upstream=upstream, max_upstream_message=self.max_upstream_message, **common
        )

    def _count(self) -> None:
        self.client_messages += 1

    def close_sockets(self, code: int, reason: str) -> None:
        """From any thread: close every socket as a logout would."""
        assert self.loop is not None
        for closer in self.closers:
            self.loop.call_soon_threadsafe(closer.close, code, reason)


@dataclass(frozen=True)
class Door:
    port: int
    app: RelayApp

    def connect(self, timeout: float = 10) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def client(self, timeout: float = 10) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(self, path: str, *, method: str = "GET", **options: Any) -> tuple[http.client.HTTPResponse, bytes]:
        client = self.client()
        try:
            client.request(method, path, **options)
            response = client.getresponse()
            return response, response.read()
        finally:
            client.close()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextmanager
def open_door(target: str, *, ws: Any = None, **options: Any) -> Iterator[Door]:
    """A door on a free port before `target`, on uvloop as in production; `options` are attributes of `RelayApp`."""
    app = RelayApp(target, **options)
    listener = socket.create_server(("127.0.0.1", 0))
    server = build_server(app, Settings())
    if ws is not None:
        server.config.ws = ws
    thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets=[listener])))
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield Door(listener.getsockname()[1], app)
    finally:
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Return as soon as `condition` holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def main() -> None:
    """Serve in a separate process, whose memory can be measured. It prints the port."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    app = RelayApp(parser.parse_args().target)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvloop.run(build_server(app, Settings()).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
