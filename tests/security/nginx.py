"""A real nginx with a configuration from the test."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import components
from tests.fakes import bind_socket

FRAME = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{blocks}
}}
"""


@contextmanager
def running_nginx(folder: Path, blocks: str) -> Iterator[int]:
    """An nginx with these `blocks` in its `http`; gives the port for `{port}`. Without nginx the test is skipped."""
    program = components.require("nginx")
    free = bind_socket("127.0.0.1", 0)
    port = int(free.getsockname()[1])
    free.close()
    file = folder / "nginx.conf"
    text = FRAME.format(folder=folder, blocks=blocks.format(folder=folder, port=port))
    file.write_text("user root;\n" + text if os.geteuid() == 0 else text, encoding="utf-8")
    running = subprocess.Popen([program, "-p", folder, "-c", file, "-e", folder / "error.log"])
    try:
        _wait_for(port, running)
        yield port
    finally:
        running.terminate()
        running.wait(10)


def _wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and running.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")
