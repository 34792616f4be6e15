"""Questions of a proxy (forward-auth) per second of CPU time, beside a bare ASGI function on the same Uvicorn.

Both servers get the same bytes on the same connections in turn, so the ratio does not depend on the machine.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.table import print_table
from tests.bench.test_sign_in_bench import cpu_seconds
from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider
from tests.front_door import KEY
from tests.ports import free_port, free_ports
from tests.repository import ROOT

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
ROUNDS = 5
QUESTIONS = 3_000
CONNECTIONS = 8
WARM_UP = 500
BUDGET = 0.50

CONFIGURATION = """
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
environment = "development"
trusted_proxies = ["127.0.0.1/32"]

[forward_auth]
modes = ["nginx"]
bind = "127.0.0.1:{verify}"

[secrets]
keys = ["{key}"]

[log]
access = false

[providers.corp]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
client_auth = "{client_auth}"
par = "off"

[[routes]]
id = "web"
path = "/"
kind = "page"
token = "assertion"
audience = "models-api"
"""


@contextlib.contextmanager
def front_door(folder: Path, provider: FakeProvider, *, port: int, verify: int) -> Iterator[int]:
    """`vestibule run`; gives the pid of its worker."""
    file = folder / "vestibule.toml"
    client = provider.client
    values = {"issuer": provider.issuer, "client_id": client.client_id, "client_secret": client.client_secret}
    places = {"port": port, "verify": verify, "management": free_port(), "key": KEY}
    file.write_text(CONFIGURATION.format(client_auth=client.auth_method, **values, **places))
    process = CommandProcess(["run", "--config", str(file)])
    try:
        process.wait_for('"ready"')
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in process.descendants()}
        (worker,) = [pid for pid, line in lines.items() if b"gateway.processes.worker" in line]
        yield worker
    finally:
        process.stop()


@contextlib.contextmanager
def bare_server(port: int) -> Iterator[int]:
    """The reference; gives its pid."""
    server = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(port)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield server.pid
    finally:
        server.terminate()
        server.wait(10)


def ask(port: int, question: bytes, count: int) -> None:
    """Send `count` questions over a few kept connections, each connection one at a time; every answer must be 200."""
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(CONNECTIONS)]
    try:
        for _ in range(count // CONNECTIONS):
            for connection in connections:
                connection.sendall(question)
            for connection in connections:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += connection.recv(65_536)
                assert received.startswith(b"HTTP/1.1 200 "), received[:200]
    finally:
        for connection in connections:
            connection.close()


def test_the_bench_compares_questions_of_a_proxy_with_a_bare_function(tmp_path: Path) -> None:
    port, verify, reference = free_ports(3)
    with (
        FakeProvider(auto_login="alice") as provider,
        front_door(tmp_path, provider, port=port, verify=verify) as worker,
        bare_server(reference) as bare,
        CookieClient() as browser,
    ):
        browser.walk(browser.get(f"http://localhost:{port}/auth/login"))
        cookie = next(cookie.value for cookie in browser.cookies if cookie.name == "vestibule")
        question = (
            "GET /auth/verify/nginx HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Original-Method: GET\r\n"
            f"X-Original-URL: http://localhost:{port}/report?x=1\r\nSec-Fetch-Mode: navigate\r\n"
            f"Accept: text/html\r\nUser-Agent: Mozilla/5.0\r\nCookie: theme=dark; vestibule={cookie}\r\n\r\n"
        ).encode()
        per_question: dict[int, list[float]] = {verify: [], reference: []}
        pids = {verify: worker, reference: bare}
        for place in pids:
            ask(place, question, WARM_UP)
        for _ in range(ROUNDS):
            for place, pid in pids.items():
                before = cpu_seconds(pid)
                ask(place, question, QUESTIONS)
                per_question[place].append((cpu_seconds(pid) - before) / QUESTIONS)
    ratios = [ours / theirs for ours, theirs in zip(per_question[reference], per_question[verify], strict=True)]
    medians = {place: statistics.median(values) for place, values in per_question.items()}
    print_table(
        f"forward-auth, by CPU time; budget {BUDGET}",
        ("", "us CPU per question", "ratio", "least", "most"),
        [
            ("bare ASGI function", medians[reference] * 1e6, 1.0, "", ""),
            ("/auth/verify/nginx", medians[verify] * 1e6, statistics.median(ratios), min(ratios), max(ratios)),
        ],
    )
