"""Run servers in a separate thread, so that synchronous tests can talk to them over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

T = TypeVar("T")

TRANSPORT_KEY = "tests.fakes.transport"
"""Key of the ASGI scope that holds the connection's transport, when `TransportProtocol` serves."""


def bind_socket(host: str, port: int = 0) -> socket.socket:
    """Bind (not listen) on `host`; port 0 takes a free one, a fixed port may be taken again after a stop."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say they are TCP: 40 ms per answer.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


class TransportProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, showing the transport to the app so that it can misbehave below HTTP."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[TRANSPORT_KEY] = self.transport


class UvicornThread:
    """Serve one ASGI app on a bound socket in a background thread."""

    def __init__(self, app: Any, sock: socket.socket, *, tls: tuple[str | Path, str | Path] | None = None) -> None:
        certificate, key = tls if tls else (None, None)
        config = uvicorn.Config(
            app,
            http=TransportProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate,
            ssl_keyfile=str(key) if key else None,
        )
        self._socket = sock
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([sock],), daemon=True)

    def start(self, *, timeout: float = 10.0) -> None:
        self._thread.start()
        deadline = time.monotonic() + timeout
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the background server did not start")
            time.sleep(0.005)

    def stop(self, *, timeout: float = 10.0) -> None:
        self._server.should_exit = True
        self._thread.join(timeout)
        self._socket.close()

    def join(self) -> None:
        """Wait until the server ends by itself (standalone use)."""
        while self._thread.is_alive():
            self._thread.join(0.5)


class LoopThread:
    """An event loop running in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def start(self) -> Self:
        self._thread.start()
        return self

    def run(self, work: Coroutine[Any, Any, T], *, timeout: float = 10.0) -> T:
        """Run a coroutine on the loop and wait for its result, from any other thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def stop(self, *, timeout: float = 10.0) -> None:
        async def cancel_everything() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.run(cancel_everything(), timeout=timeout)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout)
        self.loop.close()
