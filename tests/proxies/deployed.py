"""The configurations of `deploy/`, adapted to the ports and files of a test, before a real front door.

A test changes only what the head of each file tells operators to change. `adapt` fails if one of these values is not in
the file, so a file cannot lose what the test stands on.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests import components
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, provider_table
from tests.ports import free_port
from tests.repository import ROOT
from tests.security.certificates import Authority
from tests.security.raw import RawAnswer, read_all

NAME = "apps.example.com"
HOST = "localhost"
FORWARD_AUTH = "forward-auth"
GATEWAY = "gateway"


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


class Proxy(Protocol):
    """A proxy that can be started with its file of `deploy/` for a use."""

    @property
    def mode(self) -> str: ...

    def start(
        self, places: Places, *, use: str = FORWARD_AUTH, more: Mapping[str, str] | None = None
    ) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class Deployment:
    """A proxy before a front door and two applications. `name` is that of the proxy, `use` that of its file."""

    name: str
    use: str
    places: Places
    door: RunningDoor
    provider: FakeProvider
    web: RecordingUpstream
    api: RecordingUpstream
    trust: ssl.SSLContext
    authority: Path
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
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
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
    proxy: Proxy,
    *,
    provider: FakeProvider,
    authority: Authority,
    folder: Path,
    routes: Sequence[Mapping[str, Any]],
    use: str = FORWARD_AUTH,
    more: Mapping[str, str] | None = None,
    **tables: Any,
) -> Iterator[Deployment]:
    """Start the applications, the front door, and the proxy with its file of `deploy/` for `use`."""
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
            [_with_upstream(route, api if route["kind"] == "api" else web, use) for route in routes],
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
            with proxy.start(places, use=use, more=more):
                yield Deployment(proxy.mode, use, places, door, provider, web, api, trust, authority.ca_file)
        finally:
            provider.bend.open_gates()
            door.stop()


def _with_upstream(route: Mapping[str, Any], upstream: RecordingUpstream, use: str) -> Mapping[str, Any]:
    """With forward-auth the proxy knows the applications, otherwise the gateway does."""
    return {**route, "upstream": upstream.url} if use == GATEWAY else route


def _port(upstream: RecordingUpstream) -> int:
    return int(upstream.url.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Starter:
    """How to start a proxy with its files of `deploy/<mode>/`, which end in `suffix`.

    `changes` says, for a use, what stands in place of the values that operators change besides names and addresses.
    `prepare` gets the program, the places and the changed text; it writes what the program reads, and returns the
    command.
    """

    mode: str
    package: str
    suffix: str
    changes: Callable[[Places, str], Mapping[str, str]]
    prepare: Callable[[Path, Places, str], Sequence[str | Path]]
    find: Callable[[], Path] | None = None
    """Finds the program, if Debian has no package of it."""

    @contextmanager
    def start(
        self, places: Places, *, use: str = FORWARD_AUTH, more: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        """Run the proxy with its configuration for `use`; `more` are changes of one test alone, made first."""
        program = self.find() if self.find else components.require(self.package)
        text = adapt(
            ROOT / "deploy" / self.mode / f"{use}.{self.suffix}",
            {**(more or {}), **self.changes(places, use), **addresses(places, use), **(more or {})},
        )
        log = places.folder / f"{self.mode}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                [str(part) for part in self.prepare(program, places, text)],
                stdout=output,
                stderr=output,
                cwd=places.folder,
            )
        try:
            _wait_for(places.proxy, running, log)
            yield
        finally:
            running.terminate()
            running.wait(10)


def addresses(places: Places, use: str) -> Mapping[str, str]:
    """What stands in place of the names and addresses that each file has."""
    ports = {8000: places.door}
    if use == FORWARD_AUTH:
        ports |= {8001: places.verify, 9001: places.api, 8080: places.web}
    return {NAME: HOST} | {f"127.0.0.1:{old}": f"127.0.0.1:{new}" for old, new in ports.items()}


def _wait_for(port: int, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and running.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError("the proxy did not start:\n" + log.read_text(errors="replace"))
