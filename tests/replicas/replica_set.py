"""Front doors as an operator runs them: several `vestibule run` processes behind one public address, on one store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.e2e.demo_process import CommandProcess, is_running
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import KEY, KIT_SECRET
from tests.ports import free_ports
from tests.security.raw import RawAnswer, exchange

KEYS = (KEY, "unit-test-key-of-old-9876543210-zyxwvutsrqponm")
ADMIN_TOKEN = "unit-test-admin-token-0123456789"
KIT_ORIGIN = "http://localhost:8501"
OUTAGE_SECONDS = 3
"""How many seconds sockets stay open without the store here. The default is 60."""
SAME_ORIGIN = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors")

CONFIGURATION = """
[server]
public_url = "http://{host}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
environment = "development"
workers = {workers}

[secrets]
keys = [{keys}]
admin_token = "{admin_token}"

[store]
url = "{store}"
timeout_seconds = 1
outage_seconds = {outage_seconds}

[session]
idle_seconds = 3600
absolute_seconds = 43200

[log]
access = false

[providers.corp]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
client_auth = "{client_auth}"
par = "off"

[kit_clients.dashboards]
secret = "{kit_secret}"
routes = ["api"]
audiences = ["models-api"]
origins = ["{kit_origin}"]

[kit_clients.reports]
secret = "{kit_secret}-of-reports"
origins = ["{kit_origin}"]

[[routes]]
id = "api"
path = "/api/"
upstream = "{upstream}"
strip_prefix = true
kind = "api"
token = "access_token"

[[routes]]
id = "optional"
path = "/optional/"
upstream = "{upstream}"
kind = "api"
auth = "optional"

[[routes]]
id = "page"
path = "/"
upstream = [{pages}]
kind = "page"
"""


@dataclass(eq=False)
class Replica:
    """One supervisor with its workers. `port` is its own; the Host it answers to is that of the whole set."""

    port: int
    management: int
    host: str
    file: Path
    settings: Mapping[str, object] = field(repr=False)
    process: CommandProcess = field(init=False)
    _read: int = 0

    def start(self, *, keys: Sequence[str] = KEYS) -> None:
        quoted = ", ".join(f'"{key}"' for key in keys)
        own = {"host": self.host, "port": self.port, "management": self.management, "keys": quoted}
        self.file.write_text(CONFIGURATION.format(**self.settings, **own))
        self.process = CommandProcess(["run", "--config", str(self.file)])
        self._read = 0

    def wait(self) -> None:
        self.process.wait_for('"ready"')

    def end(self) -> int:
        """Send SIGTERM; return the exit code after all its processes are gone.

        Send no second signal, because that one kills.
        """
        self.ask_to_end()
        until(lambda: not is_running(self.process.pid), seconds=10)
        return self.process.stop()

    def ask_to_end(self) -> None:
        if is_running(self.process.pid):
            os.kill(self.process.pid, signal.SIGTERM)

    @property
    def worker(self) -> int:
        """Pid of the only process that serves."""
        (pid,) = self.workers
        return pid

    @property
    def workers(self) -> list[int]:
        """Pids of the processes that serve."""
        return sorted(pid for pid in self.process.descendants() if is_running(pid))

    def kill_worker(self) -> None:
        os.kill(self.worker, signal.SIGKILL)

    @contextmanager
    def frozen(self, pid: int = 0) -> Iterator[None]:
        """Stop worker `pid`, the only one without a number, as if a hypervisor had paused its machine."""
        pid = pid or self.worker
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: is_stopped(pid), seconds=5)
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def request(self, path: str, *headers: str, method: str = "GET", cookie: str = "", body: bytes = b"") -> bytes:
        """The bytes of a request, whose connection ends after its answer."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", "Connection: close", *headers]
        if cookie:
            lines.append(f"Cookie: {cookie}")
        if body or method not in ("GET", "HEAD"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def send(self, path: str, *headers: str, timeout: float = 30, **how: Any) -> RawAnswer:
        return RawAnswer.parse(exchange(self.port, self.request(path, *headers, **how), timeout=timeout))

    def call_api(self, cookie: str, path: str = "/api/x") -> RawAnswer:
        """What script of the page does."""
        return self.send(path, *SAME_ORIGIN, cookie=cookie)

    def post_form(self, path: str, text: str, *headers: str, cookie: str = "") -> RawAnswer:
        form = "Content-Type: application/x-www-form-urlencoded"
        return self.send(path, form, *headers, method="POST", cookie=cookie, body=text.encode())

    def call_kit(
        self, path: str, *headers: str, method: str = "POST", client: str = "dashboards", value: Any = None
    ) -> RawAnswer:
        """What the server of a Streamlit page does."""
        body = b"" if value is None else json.dumps(value).encode()
        return self.send(path, kit_credential(client), *headers, method=method, body=body)

    def manage(self, path: str, value: Mapping[str, str] | None = None) -> httpx.Response:
        """A call of the management listener, with the admin token."""
        with httpx.Client(timeout=10, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http:
            url = f"http://127.0.0.1:{self.management}{path}"
            return http.get(url) if value is None else http.post(url, json=dict(value))

    def forget_events(self) -> None:
        self._read = len(self.process.output)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What this process logged under `name` since `forget_events`."""
        lines = [line for line in self.process.output[self._read :].splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event.get("event") == name]


@dataclass(eq=False)
class ReplicaSet:
    """The processes, and the servers around them."""

    replicas: list[Replica]
    provider: FakeProvider
    upstream: RecordingUpstream
    host: str

    def __getitem__(self, number: int) -> Replica:
        return self.replicas[number]

    def __iter__(self) -> Iterator[Replica]:
        return iter(self.replicas)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What all of them logged under `name` in this test."""
        return [event for replica in self.replicas for event in replica.events(name)]

    def start_login(self, at: Replica, query: str = "") -> tuple[str, str]:
        """Begin a sign-in and stop before its callback. Return the callback's path and the cookie it needs."""
        started = at.send("/auth/login" + query, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        return self.at_provider(started)

    def at_provider(self, started: RawAnswer) -> tuple[str, str]:
        """From the redirect of a login to the callback that the provider sends the browser to, and its cookie."""
        assert started.status == 302, started
        transaction = started.header("set-cookie").partition(";")[0]
        with httpx.Client() as http:
            answer = http.get(started.header("location"))
        callback = urlsplit(answer.headers["location"])
        return f"{callback.path}?{callback.query}", transaction

    def sign_in(self, person: str = "alice") -> str:
        """A session cookie (`name=value`), begun at one process and finished at another."""
        self.provider.options.auto_login = person
        path, transaction = self.start_login(self.replicas[0])
        return session_cookie(self.replicas[-1].send(path, cookie=transaction))

    def sid_of_last_login(self) -> str:
        return self.provider.logins()[-1].sid


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def session_cookie(answer: RawAnswer) -> str:
    assert answer.status == 303, answer
    (found,) = [value for value in answer.all("set-cookie") if value.startswith("vestibule=")]
    return found.partition(";")[0]


def kit_credential(client: str = "dashboards") -> str:
    secret = KIT_SECRET if client == "dashboards" else f"{KIT_SECRET}-of-{client}"
    return f"X-Vestibule-Kit: {client}:{secret}"


def storm(requests: Sequence[tuple[Replica, bytes]]) -> list[RawAnswer]:
    """Send all requests at once, each on a connection of its own; the answers in their order."""

    async def one(replica: Replica, request: bytes) -> RawAnswer:
        reader, writer = await asyncio.open_connection("127.0.0.1", replica.port)
        writer.write(request)
        received = await reader.read()
        writer.close()
        return RawAnswer.parse(received)

    async def all_at_once() -> list[RawAnswer]:
        async with asyncio.timeout(60):
            return await asyncio.gather(*(one(replica, request) for replica, request in requests))

    return asyncio.run(all_at_once())


def until(condition: Callable[[], object], *, seconds: float) -> float:
    """Wait for `condition`; the seconds it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"not true within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - started


@contextmanager
def running_replicas(
    count: int,
    folder: Path,
    *,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    store: str,
    outage_seconds: float = OUTAGE_SECONDS,
    workers: int = 1,
    pages: Sequence[RecordingUpstream] = (),
) -> Iterator[ReplicaSet]:
    """`count` front doors that share the store at the URL `store`, ended with the context.

    `pages` are the upstreams of the page route, if `upstream` does not serve it.
    """
    ports = free_ports(2 * count)
    host = f"localhost:{ports[0]}"
    settings = {
        "admin_token": ADMIN_TOKEN,
        "store": store,
        "outage_seconds": outage_seconds,
        "issuer": provider.issuer,
        "client_id": provider.client.client_id,
        "client_secret": provider.client.client_secret,
        "client_auth": provider.client.auth_method,
        "kit_secret": KIT_SECRET,
        "kit_origin": KIT_ORIGIN,
        "upstream": upstream.url,
        "workers": workers,
        "pages": ", ".join(f'"{each.url}"' for each in pages or [upstream]),
    }
    replicas = [
        Replica(port, management, host, folder / f"replica-{number}.toml", settings)
        for number, (port, management) in enumerate(zip(ports[:count], ports[count:], strict=True))
    ]
    try:
        for replica in replicas:
            replica.start()
        for replica in replicas:
            replica.wait()
        yield ReplicaSet(replicas, provider, upstream, host)
    finally:
        for code in [replica.end() for replica in replicas]:
            assert code == 0
