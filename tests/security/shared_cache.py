"""A real nginx with `proxy_cache` in front of a door: the shared cache that must never mix two people up."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests import components
from tests.fakes import bind_socket
from tests.security.raw import RawAnswer, exchange

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=shared:1m inactive=1h;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{door};
      proxy_set_header Host $http_host;
      proxy_cache shared;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 1h;
      add_header X-Cache-Status $upstream_cache_status always;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class SharedCache:
    """Keeps whatever an answer does not forbid, for an hour, by its address alone."""

    port: int
    host: str

    def get(self, path: str, *headers: str, cookie: str = "") -> RawAnswer:
        """One request through the cache; `x-cache-status` of the answer says HIT, MISS or BYPASS."""
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", "Connection: close", *headers]
        if cookie:
            lines.append(f"Cookie: vestibule={cookie}")
        return RawAnswer.parse(exchange(self.port, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")))


@contextmanager
def shared_cache(folder: Path, *, door_port: int) -> Iterator[SharedCache]:
    """A cache before the door on `door_port`; the tests are skipped where nginx is missing."""
    program = components.require("nginx")
    free = bind_socket("127.0.0.1", 0)
    port = int(free.getsockname()[1])
    free.close()
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, door=door_port), encoding="utf-8")
    if os.geteuid() == 0:
        file.write_text("user root;\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    running = subprocess.Popen([program, "-p", folder, "-c", file, "-e", folder / "error.log"])
    try:
        _wait_for(port, running)
        yield SharedCache(port, f"localhost:{door_port}")
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
