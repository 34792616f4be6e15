"""FA-2: the real Envoy asks with the same bytes as its stand-in, so the stand-in proves something."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes import RecordingUpstream
from tests.ports import free_port
from tests.proxies.conftest import PROXIES
from tests.proxies.deployed import HOST, Places, Proxy
from tests.security.certificates import make_authority
from tests.security.raw import read_all

pytestmark = pytest.mark.long
DIFFERS = frozenset({"x-request-id", "x-forwarded-for"})
"""One is random. For a client on the same machine Envoy writes the address of the machine into the other."""
REQUESTS = (
    "GET /report?x=%20&y=a+b HTTP/1.1\r\nHost: {host}\r\nCookie: a=1; b=2\r\nSec-Fetch-Mode: navigate\r\n",
    "POST /api/models HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nOrigin: https://evil.example\r\nX-A: b\r\n",
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\nX-Forwarded-For: 6.6.6.6\r\n",
    "PUT //a/../b;c HTTP/1.1\r\nHost: {host}\r\nX_Auth_Request_User: x\r\nX-Envoy-Internal: x\r\nAuthorization: B\r\n",
)


def questions(proxy: Proxy, folder: Path) -> list[tuple[str, bytes, frozenset[tuple[str, str]]]]:
    """What the forward-auth listener is asked about `REQUESTS`: method, target and header lines."""
    authority = make_authority(folder)
    certificate, key = authority.issue(HOST)
    with RecordingUpstream() as asked:
        asked.respond("*", status=403)
        port = int(asked.url.rpartition(":")[2])
        places = Places(
            proxy=free_port(),
            door=free_port(),
            verify=port,
            api=free_port(),
            web=free_port(),
            certificate=certificate,
            key=key,
            folder=folder,
        )
        with proxy.start(places):
            for request in REQUESTS:
                _send(places, authority.ca_file, request.format(host=f"{HOST}:{places.proxy}"))
        return [(one.method, one.target, _lines(one.headers, places.proxy)) for one in asked.requests]


def _send(places: Places, ca_file: Path, request: str) -> None:
    trust = ssl.create_default_context(cafile=str(ca_file))
    with trust.wrap_socket(
        socket.create_connection(("127.0.0.1", places.proxy), timeout=10), server_hostname=HOST
    ) as client:
        connection = "Upgrade" if "Upgrade:" in request else "close"
        client.sendall(f"{request}Connection: {connection}\r\n\r\nabc"[: None if "POST" in request else -3].encode())
        client.settimeout(5)
        assert read_all(client).startswith(b"HTTP/1.1 403")


def _lines(headers: Sequence[tuple[bytes, bytes]], port: int) -> frozenset[tuple[str, str]]:
    found = ((name.decode().lower(), value.decode().replace(str(port), "PORT")) for name, value in headers)
    return frozenset(line for line in found if line[0] not in DIFFERS)


def test_fa_2_envoy_asks_as_its_stand_in_does(tmp_path: Path) -> None:
    folders = [tmp_path / "real", tmp_path / "stand-in"]
    for folder in folders:
        folder.mkdir()
    real = questions(PROXIES["envoy"], folders[0])
    assert len(real) == len(REQUESTS)
    assert real == questions(PROXIES["stand-in for envoy"], folders[1])
