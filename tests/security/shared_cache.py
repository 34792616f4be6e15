"""A real nginx with `proxy_cache` in front of a door: the shared cache that must never mix two people up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.security.nginx import running_nginx
from tests.security.raw import RawAnswer, exchange

BLOCKS = """
  proxy_cache_path {{folder}}/cache keys_zone=shared:1m inactive=1h;
  server {{{{
    listen 127.0.0.1:{{port}};
    location / {{{{
      proxy_pass http://127.0.0.1:{door};
      proxy_set_header Host $http_host;
      proxy_cache shared;
      proxy_cache_key $request_uri;
      proxy_cache_valid 200 1h;
      add_header X-Cache-Status $upstream_cache_status always;
    }}}}
  }}}}
"""


@dataclass(frozen=True)
class SharedCache:
    """Keeps every answer that does not forbid it for an hour, only by its address."""

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
    with running_nginx(folder, BLOCKS.format(door=door_port)) as port:
        yield SharedCache(port, f"localhost:{door_port}")
