"""Uvicorn as the front door runs it: guarded protocols, no guesses from proxy headers, no second access log."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from uvicorn import Config, Server

from bff import contract
from bff.settings.tables import LimitSettings, Settings
from gateway.serving.connections import Connections
from gateway.serving.drain import DRAIN_SECONDS
from gateway.serving.http import GuardedHttpProtocol
from gateway.serving.websocket import GuardedWebSocketProtocol
from gateway.upstream.handshake_lines import allow_whole_heads

KEEP_ALIVE_SECONDS = 75
QUESTION_BYTES = 1024
QUESTION_HEADERS = 16
"""What a proxy adds to the client's headers when it asks, beside the original address."""
Application = Callable[..., Any]
_LEFT_UNFINISHED = (
    "ASGI callable returned without completing handshake.",
    "ASGI callable returned without completing response.",
)


class GuardedConfig(Config):
    """Uvicorn's configuration, with the limits that the guarded protocols enforce. Each listener has its own."""

    def __init__(
        self,
        app: Application,
        settings: Settings,
        *,
        lifespan: Literal["on", "off"],
        connections: Connections,
        tls: bool,
        limits: LimitSettings | None = None,
        takes_websockets: bool = True,
    ) -> None:
        self.limits = limits or settings.limits
        self.takes_websockets = takes_websockets
        allow_whole_heads(settings.limits)
        logging.getLogger("uvicorn.error").addFilter(is_worth_a_line)
        base = urlsplit(settings.server.public_url).path.rstrip("/")
        self.login_target = f"{base}{settings.server.auth_path}{contract.PATH_LOGIN}?".encode()
        self.proxy_secret = settings.server.trusted_proxy_secret.get_secret_value()
        self.open_connections = connections
        super().__init__(
            app,
            loop="uvloop",
            http=GuardedHttpProtocol,
            ws=GuardedWebSocketProtocol,
            ws_max_size=settings.limits.websocket_client_message_bytes,
            ws_per_message_deflate=False,
            ws_ping_timeout=None,  # a slow reader would be cut off; upstream pings and idle ends remain
            lifespan=lifespan,
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ssl_certfile=settings.server.tls.certificate_file or None if tls else None,
            ssl_keyfile=settings.server.tls.key_file or None if tls else None,
        )


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """False for Uvicorn's error about an answer that was left unfinished.

    The front door leaves one unfinished when the client is gone, or when it cuts a stream that its upstream cut. The
    first is nobody's fault, and the second has a line of its own in the audit log.
    """
    return record.msg not in _LEFT_UNFINISHED


class GuardedServer(Server):
    """A server whose owner handles the signals. It ends after the other servers that share its application."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dependants: list[asyncio.Task[None]] = []

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def _wait_tasks_to_complete(self) -> None:
        await super()._wait_tasks_to_complete()
        if self.dependants:
            await asyncio.wait(self.dependants)


def count_connections(settings: Settings) -> Connections:
    """A counter with the limit of `settings`, which exempts the proxies that it trusts."""
    server = settings.server
    return Connections(
        settings.limits.connections_per_address,
        trusted=server.trusted_proxies,
        asks_for_secret=bool(server.trusted_proxy_secret.get_secret_value()),
    )


def build_server(
    app: Application,
    settings: Settings,
    *,
    lifespan: Literal["on", "off"] = "on",
    connections: Connections | None = None,
    tls: bool = True,
) -> GuardedServer:
    """Build a server for `app`. Run it with `await server.serve(sockets=…)`, end it with `server.should_exit =
    True`."""
    if connections is None:
        connections = count_connections(settings)
    return GuardedServer(GuardedConfig(app, settings, lifespan=lifespan, connections=connections, tls=tls))


def build_verify_server(app: Application, settings: Settings, *, connections: Connections) -> GuardedServer:
    """Build the server of the forward-auth listener. A question has the headers of a client's request and some more."""
    limits, url_bytes = settings.limits, settings.limits.url_bytes
    wider = limits.model_copy(
        update={
            "url_bytes": url_bytes + QUESTION_BYTES,
            "header_bytes": limits.header_bytes + url_bytes + QUESTION_BYTES,
            "header_count": limits.header_count + QUESTION_HEADERS,
        }
    )
    config = GuardedConfig(
        app,
        settings,
        lifespan="off",
        connections=connections,
        tls=False,
        limits=wider,
        takes_websockets=False,  # some proxies pass on a client's offer with their question
    )
    return GuardedServer(config)


async def wait_until_started(server: Server, task: asyncio.Task[None]) -> None:
    """Return when `server` accepts connections. If `task`, which runs its `serve`, fails before that, raise its
    error."""
    while not server.started:
        if task.done():
            await task
            raise RuntimeError("the server ended before it had started")
        await asyncio.sleep(0.01)


def adopt(descriptors: Sequence[int]) -> list[socket.socket]:
    """Return the listening sockets that were inherited under these descriptor numbers."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    for listener in sockets:
        listener.setblocking(False)
        listener.set_inheritable(False)
    return sockets
