"""The configurations of `deploy/`, adapted to the ports and files of a test, before a real front door.

A test changes only what the head of each file tells operators to change. `adapt` fails if one of these values is not in
the file, so a file cannot lose what the test stands on.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import components
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, provider_table
from tests.ports import free_port
from tests.repository import ROOT
from tests.security.certificates import Authority
from tests.security.raw import RawAnswer, read_all

NAME = "apps.example.com"
HOST = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Ports and files of one deployment."""

    proxy: int
    door: int
    verify: int
    api: int
    web: int
    certificate: Path
    key: Path
    folder: Path


@dataclass(slots=True)
class Deployment:
    """A proxy before a front door and two applications. `name` is that of the proxy."""

    name: str
    places: Places
    door: RunningDoor
    provider: FakeProvider
    web: RecordingUpstream
    api: RecordingUpstream
    trust: ssl.SSLContext
    browsers: list[CookieClient] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{HOST}:{self.places.proxy}"

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    def browser(self) -> CookieClient:
        self.browsers.append(CookieClient(verify=self.trust))
        return self.browsers[-1]

    def close_browsers(self) -> None:
        while self.browsers:
            self.browsers.pop().close()

    def sign_in(self, person: str = "alice", *, path: str = "/") -> tuple[CookieClient, list[Any]]:
        """A browser that came to `path`, was sent to sign in as `person`, and came back. And its answers in order."""
        self.provider.options.auto_login = person
        browser = self.browser()
        return browser, browser.walk(browser.get(self.url + path))

    def cookie_of(self, browser: CookieClient) -> str:
        return next(cookie.value for cookie in browser.cookies if cookie.name == "__Host-vestibule")

    def ask(
        self, target: str | bytes, *lines: str, method: str = "GET", cookie: str = "", body: bytes = b""
    ) -> RawAnswer:
        """Send exactly this target and these header lines through the proxy and read the answer to its end."""
        with self.open(target, *lines, method=method, cookie=cookie, body=body, closing=True) as client:
            return RawAnswer.parse(read_all(client))

    def open(
        self,
        target: str | bytes,
        *lines: str,
        method: str = "GET",
        cookie: str = "",
        body: bytes = b"",
        closing: bool = False,
    ) -> ssl.SSLSocket:
        """Send a request and leave the connection open."""
        raw = target if isinstance(target, bytes) else target.encode("latin-1")
        head = [f"Host: {self.host}", *(["Connection: close"] if closing else []), *lines]
        if cookie:
            head.append(f"Cookie: theme=dark; __Host-vestibule={cookie}; lang=de")
        if body:
            head.append(f"Content-Length: {len(body)}")
        client = socket.create_connection(("127.0.0.1", self.places.proxy), timeout=10)
        secured = self.trust.wrap_socket(client, server_hostname=HOST)
        text = method.encode() + b" " + raw + b" HTTP/1.1\r\n" + "\r\n".join(head).encode("latin-1") + b"\r\n\r\n"
        with suppress(BrokenPipeError, ConnectionResetError):
            secured.sendall(text + body)
        return secured


def adapt(file: Path, changes: Mapping[str, str]) -> str:
    """Return the text of `file` with each key of `changes` replaced everywhere; each must be there."""
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        if old not in text:
            raise AssertionError(f"{file.relative_to(ROOT)} no longer holds {old!r}")
        text = text.replace(old, new)
    return text


@contextmanager
def deployment(
    proxy: Starter,
    *,
    provider: FakeProvider,
    authority: Authority,
    folder: Path,
    routes: Sequence[Mapping[str, Any]],
    **tables: Any,
) -> Iterator[Deployment]:
    """Start the applications, the front door, and the proxy with its file of `deploy/`."""
    certificate, key = authority.issue(HOST)
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    with RecordingUpstream() as web, RecordingUpstream() as api:
        front = free_port()
        server = {
            "public_url": f"https://{HOST}:{front}",
            "trusted_proxies": ["127.0.0.0/8"],
            **tables.pop("server", {}),
        }
        door = RunningDoor(
            {"corp": provider_table(provider, par="off")},
            routes,
            server=server,
            forward_auth={"modes": [proxy.mode]},
            **tables,
        ).start()
        places = Places(
            proxy=front,
            door=door.port,
            verify=door.verify_port,
            api=_port(api),
            web=_port(web),
            certificate=certificate,
            key=key,
            folder=folder,
        )
        try:
            with proxy.start(places):
                yield Deployment(proxy.mode, places, door, provider, web, api, trust)
        finally:
            provider.bend.open_gates()
            door.stop()


def _port(upstream: RecordingUpstream) -> int:
    return int(upstream.url.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Starter:
    """How to start a proxy of `mode`: its Debian package, and what writes its files and gives its command."""

    mode: str
    package: str
    prepare: Callable[[Path, Places], Sequence[str | Path]]
    """Called with the program and the places; writes the configuration and returns the command."""

    @contextmanager
    def start(self, places: Places) -> Iterator[None]:
        program = components.require(self.package)
        log = places.folder / f"{self.mode}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                [str(part) for part in self.prepare(program, places)], stdout=output, stderr=output, cwd=places.folder
            )
        try:
            _wait_for(places.proxy, running, log)
            yield
        finally:
            running.terminate()
            running.wait(10)


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and running.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("the proxy did not start:\n" + log.read_text(errors="replace"))


# -- nginx -------------------------------------------------------------------------------------------------------------

NGINX_FRAME = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


def prepare_nginx(program: Path, places: Places, *, more: Mapping[str, str] | None = None) -> Sequence[str | Path]:
    site = adapt(
        ROOT / "deploy" / "nginx" / "forward-auth.conf",
        {
            "listen 443 ssl;": f"listen 127.0.0.1:{places.proxy} ssl;",
            "listen 80;": "listen unix:" + str(places.folder / "plain.sock") + ";",
            "/etc/ssl/apps.example.com.pem": str(places.certificate),
            "/etc/ssl/apps.example.com.key": str(places.key),
            NAME: HOST,
            "127.0.0.1:8000": f"127.0.0.1:{places.door}",
            "127.0.0.1:8001": f"127.0.0.1:{places.verify}",
            "127.0.0.1:9001": f"127.0.0.1:{places.api}",
            "127.0.0.1:8080": f"127.0.0.1:{places.web}",
            **(more or {}),
        },
    )
    (places.folder / "site.conf").write_text(site, encoding="utf-8")
    file = places.folder / "nginx.conf"
    text = NGINX_FRAME.format(folder=places.folder)
    file.write_text("user root;\n" + text if os.geteuid() == 0 else text, encoding="utf-8")
    return [program, "-p", places.folder, "-c", file, "-e", places.folder / "error.log"]


NGINX = Starter("nginx", "nginx", prepare_nginx)
STARTERS = {starter.mode: starter for starter in (NGINX,)}
