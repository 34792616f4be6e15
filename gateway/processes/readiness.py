"""Ask whether a part answers yet: one request, one status, nothing is kept open."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import urlsplit

PROBE_SECONDS = 2.0
STATUS_LINE_BYTES = 4096

Probe = Callable[[], Awaitable[bool]]
"""A function that returns True if the part answers. It never raises."""


def http_probe(url: str, *, any_status: bool = False) -> Probe:
    """Build a probe that is true if `url` answers 200, or with `any_status` if it answers at all."""

    async def answers() -> bool:
        try:
            status = await fetch_status(url, seconds=PROBE_SECONDS)
        except OSError:
            return False
        return any_status or status == HTTPStatus.OK

    return answers


async def fetch_status(url: str, *, seconds: float, ca_file: str = "") -> int:
    """Return the status of one GET of `url` (http, https, or unix:PATH for a server on a socket file).

    Raises:
        OSError: nobody listens, no answer in time (TimeoutError), the certificate is not trusted, or it is not HTTP.
    """
    async with asyncio.timeout(seconds):
        reader, writer, host, target = await _open(url, ca_file=ca_file)
        try:
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii"))
            line = await reader.read(STATUS_LINE_BYTES)
        finally:
            writer.close()
    protocol, _, rest = line.partition(b" ")
    if not protocol.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ConnectionError("the answer is not HTTP")
    return int(rest[:3])


async def _open(url: str, *, ca_file: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str, str]:
    if url.startswith("unix:"):
        return *await asyncio.open_unix_connection(url.removeprefix("unix:").removeprefix("//")), "localhost", "/"
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    context = ssl.create_default_context(cafile=ca_file or None) if secure else None
    streams = await asyncio.open_connection(parts.hostname, parts.port or (443 if secure else 80), ssl=context)
    return *streams, parts.netloc.rpartition("@")[2], parts.path or "/"
