"""A front door behind a real nginx with the configuration of docs/operate.md, or with a fault in it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bff.settings.tables import Settings
from gateway.cli.doctor.checks import Finding, Report
from gateway.cli.doctor.through.examination import examine_through
from gateway.cli.doctor.through.wishes import Wishes
from tests.fakes import FakeProvider, bind_socket
from tests.front_door import RunningDoor, api_route, page_route
from tests.repository import ROOT
from tests.security.certificates import Authority
from tests.security.nginx import running_nginx

SECRET = "unit-test-proxy-secret-0123456789"
SHOWN = f'proxy_set_header X-Vestibule-Proxy "{SECRET}";'
Edits = Mapping[str, str]
"""Line of the documented configuration → what stands there instead; VERIFY is the forward-auth listener."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a test needs: the settings of the running door, where people reach it, and the port of plain http."""

    settings: Settings
    url: str
    http_port: int
    ca_file: Path

    def look(self, *, quiet_seconds: int = 0, ca_file: Path | None = None) -> Report:
        """Look at the door as the command does."""
        wishes = Wishes(quiet_seconds=quiet_seconds, http_port=self.http_port, ca_file=str(ca_file or self.ca_file))
        return asyncio.run(examine_through(self.settings, self.url, wishes, clock=time.time))


@contextmanager
def proxied_door(
    folder: Path,
    authority: Authority,
    *,
    edits: Edits | None = None,
    server: Mapping[str, Any] | None = None,
    route: Mapping[str, Any] | None = None,
    routes: Sequence[Mapping[str, Any]] | None = None,
) -> Iterator[Proxied]:
    """Start a door, and nginx in front of it. `server` and `route` are settings over those of the page.

    `routes` replaces its routes.
    """
    door_port, http_port, verify_port = _free_port(), _free_port(), _free_port()
    blocks = _documented(authority, door_port=door_port, http_port=http_port)
    for line, instead in (edits or {}).items():
        assert blocks.count(line) == 1, f"{line} is in the documented configuration {blocks.count(line)} times"
        blocks = blocks.replace(line, instead.replace("VERIFY", f"127.0.0.1:{verify_port}"))
    with running_nginx(folder, _for_format(blocks)) as port, FakeProvider() as provider:
        own = {
            "public_url": f"https://localhost:{port}",
            "trusted_proxies": ["127.0.0.1/32"],
            "trusted_proxy_secret": SECRET,
            "bind": f"127.0.0.1:{door_port}",
            **(server or {}),
        }
        routes = routes or [api_route("http://127.0.0.1:9", **(route or {})), page_route("http://127.0.0.1:9")]
        asked = {"modes": ["nginx"], "bind": f"127.0.0.1:{verify_port}"}
        door = RunningDoor(
            {"corp": provider}, routes, port=door_port, verify_at=verify_port, server=own, forward_auth=asked
        ).start()
        try:
            yield Proxied(door.settings, f"https://localhost:{port}", http_port, authority.ca_file)
        finally:
            door.stop()


def faults(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.level != "ok"]


def _documented(authority: Authority, *, door_port: int, http_port: int) -> str:
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    found = re.search(r"```nginx\n(map .*?)```", page, flags=re.DOTALL)
    assert found
    certificate, key = authority.issue("localhost")
    text = re.sub(r"\s*#.*", "", found[1])
    text = re.sub(r"include [^;]*vestibule-proxy-secret[^;]*;", SHOWN, text)
    for said, here in {
        "listen 443 ssl;": "listen 127.0.0.1:{port} ssl;",
        "listen 80;": f"listen 127.0.0.1:{http_port};",
        "/etc/ssl/apps.example.com.pem": str(certificate),
        "/etc/ssl/apps.example.com.key": str(key),
        "https://apps.example.com$request_uri": "https://localhost:{port}$request_uri",
        "apps.example.com": "localhost",
        "127.0.0.1:8000": f"127.0.0.1:{door_port}",
    }.items():
        assert said in text, said
        text = text.replace(said, here)
    return text


def _for_format(text: str) -> str:
    """Double the braces of nginx, but not those around `port`."""
    return text.replace("{", "{{").replace("}", "}}").replace("{{port}}", "{port}")


def _free_port() -> int:
    free = bind_socket("127.0.0.1", 0)
    port = int(free.getsockname()[1])
    free.close()
    return port
