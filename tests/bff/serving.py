"""Run an ordinary application under a default Uvicorn, with its lifespan, on a free port of 127.0.0.1."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from tests.fakes import bind_socket


@contextmanager
def serving(app: Any, *, sock: socket.socket | None = None, **config: Any) -> Iterator[str]:
    """Yield the address while `app` is served; `config` is Uvicorn's."""
    sock = sock or bind_socket("127.0.0.1")
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1, **{"ws": "none", **config})
    )
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the application did not start")
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(15)
        sock.close()
