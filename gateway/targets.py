"""The address of an upstream. It is parsed once from the configuration, never from a request. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,=:@%-]+)*\Z")


@dataclass(frozen=True, slots=True)
class Target:
    """An address: `http://host:port[/path]`, `https://…` or `unix:/path.sock`. `base_path` has no trailing slash."""

    host: str
    port: int
    is_tls: bool = False
    socket_path: str = ""
    base_path: bytes = b""

    @property
    def origin(self) -> str:
        """Return scheme://host[:port] as in a Location header; "" for a Unix socket."""
        if self.socket_path:
            return ""
        scheme, usual = ("https", 443) if self.is_tls else ("http", 80)
        return f"{scheme}://{self._named_host}" + ("" if self.port == usual else f":{self.port}")

    @property
    def authority(self) -> bytes:
        """Return the Host header for requests without one."""
        return self.origin.partition("://")[2].encode("ascii") or b"localhost"

    @property
    def _named_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_target(text: str) -> Target:
    """Parse the address of an upstream from the configuration.

    Raises:
        ValueError: it has none of the three forms; the message can be shown in a report on the configuration.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise ValueError("a unix: upstream needs an absolute path, such as unix:/run/app.sock")
        return Target("localhost", 80, socket_path=path)
    url = urlsplit(text)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("an upstream is http://host:port, https://host:port or unix:/path")
    if url.username is not None or url.query or url.fragment or not _BASE_PATH.match(url.path.rstrip("/")):
        raise ValueError("an upstream has no user, query or fragment, and a plain path if any")
    is_tls = url.scheme == "https"
    port = url.port or (443 if is_tls else 80)
    return Target(url.hostname, port, is_tls=is_tls, base_path=url.path.rstrip("/").encode("ascii"))
