"""Complete sign-ins and refreshes per second and worker, by the worker's own CPU time.

The provider and the client need as much of the machine as the front door does, so wall-clock rates say little on two
cores; CPU seconds of the worker do not depend on who else is running.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.table import print_table
from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import KEY
from tests.ports import free_port

pytestmark = [pytest.mark.bench, pytest.mark.timeout(180)]
SIGN_INS = 150
REFRESHES = 60
LIFETIME = 2
TICKS = os.sysconf("SC_CLK_TCK")

CONFIGURATION = """
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
environment = "development"

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
id = "api"
path = "/api/"
upstream = "{upstream}"
kind = "api"
token = "access_token"
csrf = "off"

[[routes]]
id = "page"
path = "/"
upstream = "{upstream}"
kind = "page"
"""


@contextmanager
def front_door(folder: Path, provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[tuple[str, int]]:
    """URL and worker pid of `vestibule run`."""
    port = free_port()
    file = folder / "vestibule.toml"
    file.write_text(
        CONFIGURATION.format(
            port=port,
            management=free_port(),
            key=KEY,
            issuer=provider.issuer,
            client_id=provider.client.client_id,
            client_secret=provider.client.client_secret,
            client_auth=provider.client.auth_method,
            upstream=upstream.url,
        )
    )
    process = CommandProcess(["run", "--config", str(file)])
    try:
        process.wait_for('"ready"')
        (worker,) = [pid for pid in process.descendants() if b"gateway.processes.worker" in _command_line(pid)]
        yield f"http://localhost:{port}", worker
    finally:
        process.stop()


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def sign_in(url: str) -> CookieClient:
    """From `/auth/login` over the provider to the answer that sets the session cookie."""
    browser = CookieClient()
    response = browser.get(url + "/auth/login?return_to=/page")
    while "/auth/callback/" not in str(response.url):
        response = browser.follow(response)
    assert response.headers["location"] == "/page"
    return browser


def test_the_bench_counts_sign_ins_and_refreshes_per_second(tmp_path: Path) -> None:
    with (
        FakeProvider(auto_login="alice") as provider,
        RecordingUpstream() as upstream,
        front_door(tmp_path, provider, upstream) as (url, worker),
    ):
        sign_in(url).close()  # discovery and keys are fetched here
        before, began = cpu_seconds(worker), time.perf_counter()
        for _ in range(SIGN_INS):
            sign_in(url).close()
        sign_in_cpu = (cpu_seconds(worker) - before) / SIGN_INS
        sign_in_wall = (time.perf_counter() - began) / SIGN_INS

        provider.options.access_token_lifetime = LIFETIME
        browsers = [sign_in(url) for _ in range(REFRESHES)]
        time.sleep(LIFETIME)
        provider.options.access_token_lifetime = 600
        granted = len(provider.grants("refresh_token"))
        before = cpu_seconds(worker)
        for browser in browsers:
            assert browser.fetch(url + "/api/x").status_code == 200
        refresh_cpu = (cpu_seconds(worker) - before) / REFRESHES
        assert len(provider.grants("refresh_token")) - granted == REFRESHES
        for browser in browsers:
            browser.close()
    print_table(
        "per worker, by its CPU time",
        ("", "per second", "ms CPU", "ms wall, sequential"),
        [
            ("complete sign-ins", 1 / sign_in_cpu, sign_in_cpu * 1e3, sign_in_wall * 1e3),
            ("request with a refresh", 1 / refresh_cpu, refresh_cpu * 1e3, ""),
        ],
    )
    assert 1 / sign_in_cpu >= 150
