"""Real processes: they start, are started again when they die, and all end when the front door ends."""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.processes.children import describe_exit, pause_before_restart
from gateway.processes.supervisor import OTHER_GRACE_SECONDS, WORKER_GRACE_SECONDS
from tests.gateway.running_processes import (
    command_line_of,
    descendants,
    environment_of,
    is_alive,
    wait_until,
    wait_until_gone,
)
from tests.repository import ROOT

WITHIN_SECONDS = 5
PATIENCE_SECONDS = 30
"""For what no test measures: other programs use the machine as well."""
AT_ONCE_SECONDS = 2
"""Less than any grace that a process is given."""
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Door:
    """A started front door and what it reported."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log
        self.addresses: dict[str, str] = {}

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended before it was ready:\n{self.log.read_text()}"
        self.addresses = json.loads(line)

    def get(self, path: str, *, part: str = "bind", timeout: float = 10) -> Any:
        return httpx.get(f"http://{self.addresses[part]}{path}", timeout=timeout).json()

    def said(self, text: str) -> bool:
        return text in self.log.read_text()

    def wait_until_said(self, text: str) -> None:
        wait_until(lambda: self.said(text), seconds=PATIENCE_SECONDS)

    def processes(self) -> list[int]:
        return descendants(self.process.pid)


Start = Callable[..., Door]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    doors: list[Door] = []

    def start_door(*, ready: bool = True, workers: int = 1, routes: Any = (), **given: Any) -> Door:
        settings: dict[str, Any] = {
            "server": {"bind": "127.0.0.1:0", "management_bind": "127.0.0.1:0", "environment": "development"},
            "secrets": {"keys": [secrets.token_urlsafe(32)]},
            "providers": {"corp": {"issuer": "http://127.0.0.1:9/", "client_id": "x", "client_auth": "none"}},
            "routes": list(routes),
            "kit_clients": {"pages": {"secret": secrets.token_urlsafe(24), "routes": [r["id"] for r in routes]}},
            "log": {"level": "debug"},
        }
        settings["server"].update(given.pop("server", {}))
        settings["server"]["workers"] = workers
        if workers > 1:
            settings["store"] = {"url": "redis://127.0.0.1:9/0"}
        (tmp_path / "door.json").write_text(json.dumps({"settings": settings, **given}))
        log = tmp_path / "door.log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.gateway.stand_in_door", str(tmp_path / "door.json")],
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                cwd=ROOT,
            )
        doors.append(Door(process, log))
        if ready:
            doors[-1].wait_until_ready()
        return doors[-1]

    yield start_door
    for door in doors:
        left = door.processes()
        if door.process.poll() is None:
            door.process.kill()
        door.process.communicate()
        wait_until_gone(left, seconds=PATIENCE_SECONDS)


def test_sigterm_ends_all_processes_in_time_and_frees_the_ports(start: Start, free_port: int) -> None:
    door = start(parts=[free_port])
    assert len(door.processes()) == 3  # worker, part, and the part's own process
    everything = door.processes()
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(PATIENCE_SECONDS) == 0
    assert door.log.read_text().count('"stopping"') == 1
    wait_until_gone(everything, seconds=AT_ONCE_SECONDS)
    for address in (door.addresses["bind"], door.addresses["management"], f"127.0.0.1:{free_port}"):
        host, _, port = address.rpartition(":")
        with socket.create_server((host, int(port))):
            pass


def test_ctrl_c_ends_all_processes_like_sigterm(start: Start) -> None:
    door = start()
    everything = door.processes()
    door.process.send_signal(signal.SIGINT)
    assert door.process.wait(PATIENCE_SECONDS) == 0
    wait_until_gone(everything, seconds=AT_ONCE_SECONDS)
    assert "Traceback" not in door.log.read_text()


def test_no_process_remains_after_the_front_door_is_killed_with_sigkill(start: Start, free_port: int) -> None:
    door = start(parts=[free_port])
    everything = door.processes()
    assert len(everything) == 3
    door.process.kill()
    wait_until_gone(everything, seconds=PATIENCE_SECONDS)
    with socket.create_server(("127.0.0.1", free_port)):
        pass


def test_a_killed_worker_is_started_again_on_the_same_port(start: Start) -> None:
    door = start()
    first = door.get("/pid")["pid"]
    os.kill(first, signal.SIGKILL)
    # No connection is refused meanwhile: the socket belongs to the supervisor, and connections wait in its queue.
    second = door.get("/pid")["pid"]
    assert second != first
    wait_until(lambda: door.said('"how": "signal SIGKILL"'), seconds=PATIENCE_SECONDS)
    assert door.said('"process": "worker-0"')
    assert door.said('"restart_in_seconds": 0.5')


def test_a_worker_that_exits_is_started_again_and_the_log_has_its_exit_code(start: Start) -> None:
    door = start()
    first = door.get("/pid")["pid"]
    with pytest.raises(httpx.TransportError):
        door.get("/die")
    assert door.get("/pid")["pid"] != first
    assert door.said('"how": "exit code 9"')


def test_a_killed_child_is_started_again_and_its_old_descendants_end(start: Start, free_port: int) -> None:
    door = start(parts=[free_port])
    url = f"http://127.0.0.1:{free_port}/"
    first = int(httpx.get(url).text)
    [stubborn] = descendants(first)
    os.kill(first, signal.SIGKILL)
    wait_until_gone([stubborn], seconds=PATIENCE_SECONDS)

    def second() -> int:
        try:
            return int(httpx.get(url).text)
        except httpx.TransportError:
            return first

    wait_until(lambda: second() != first, seconds=PATIENCE_SECONDS)
    assert door.get("/pid")["is_started"], "the worker went on as if nothing had happened"
    assert door.said(f'"process": "part-{free_port}"')


def test_running_requests_are_finished_before_the_end(start: Start) -> None:
    door = start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(door.get, "/slow")
        door.wait_until_said("asked for /slow")
        door.process.send_signal(signal.SIGTERM)
        assert answer.result(PATIENCE_SECONDS)["is_started"] is True, "the application was shut down under a request"
    assert door.process.wait(PATIENCE_SECONDS) == 0


def test_a_request_that_never_ends_does_not_delay_the_end(start: Start) -> None:
    door = start()
    everything = door.processes()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(door.get, "/for-ever", timeout=PATIENCE_SECONDS * 2)
        door.wait_until_said("asked for /for-ever")
        door.process.send_signal(signal.SIGTERM)
        assert door.process.wait(PATIENCE_SECONDS) == 0
        assert isinstance(answer.exception(PATIENCE_SECONDS), (httpx.TransportError, json.JSONDecodeError))
    wait_until_gone(everything, seconds=AT_ONCE_SECONDS)


def test_new_connections_are_refused_while_the_last_requests_finish(start: Start) -> None:
    door = start()
    host, _, port = door.addresses["bind"].rpartition(":")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(door.get, "/slow")
        door.wait_until_said("asked for /slow")
        door.process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(host, int(port)), seconds=PATIENCE_SECONDS)
        assert not answer.done()
        assert answer.result(PATIENCE_SECONDS)


def is_refused(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_second_ctrl_c_ends_at_once(start: Start) -> None:
    door = start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(door.get, "/for-ever", timeout=PATIENCE_SECONDS * 2)
        door.wait_until_said("asked for /for-ever")
        everything = door.processes()
        door.process.send_signal(signal.SIGINT)
        door.wait_until_said('"stopping"')
        began = time.monotonic()
        door.process.send_signal(signal.SIGINT)
        assert door.process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert isinstance(answer.exception(PATIENCE_SECONDS), httpx.TransportError)
    wait_until_gone(everything, seconds=AT_ONCE_SECONDS)


def test_all_workers_serve_and_one_of_them_serves_management(start: Start) -> None:
    door = start(workers=3)
    workers = door.processes()
    assert len(workers) == 3
    assert door.get("/healthz", part="management")["pid"] in workers
    seen = {door.get("/pid")["pid"] for _ in range(60)}
    assert seen <= set(workers)
    killed = door.get("/healthz", part="management")["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(set(door.processes()) - {killed}) == 3, seconds=PATIENCE_SECONDS)
    assert door.get("/healthz", part="management")["pid"] != killed


def test_a_worker_gets_secrets_only_through_a_pipe(start: Start) -> None:
    door = start()
    [worker] = door.processes()
    key = door.get("/settings")["key"]
    assert len(key) > 32
    for text in (environment_of(worker), command_line_of(worker), door.log.read_text()):
        assert key not in text
        assert "canary-variable" not in text
    assert "canary-variable" not in environment_of(worker)


def test_the_log_contains_no_query_at_any_level(start: Start) -> None:
    door = start()
    door.get("/pid?code=canary-http")
    host, _, port = door.addresses["bind"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(HANDSHAKE.replace(b"/ws", b"/ws?code=canary-websocket"))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        client.sendall(b"\x81\x80\x00\x00\x00\x00")
        assert client.recv(16)
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(PATIENCE_SECONDS) == 0
    assert not door.said("canary")


def test_a_worker_can_open_as_many_connections_as_the_system_allows(start: Start) -> None:
    door = start()
    [worker] = door.processes()
    soft, most = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    assert soft == most


def test_a_port_in_use_gives_one_line_with_the_fix(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        door = start(ready=False, server={"bind": f"127.0.0.1:{port}"})
        assert door.process.wait(10) == 1
        assert door.log.read_text().strip() == (
            f"port {port} on 127.0.0.1 is taken by another program; choose another with --port or server.bind"
        )


def test_a_worker_that_cannot_build_its_application_fails_the_start_with_its_last_lines(start: Start) -> None:
    door = start(ready=False, app="create_failing_app")
    assert door.process.wait(30) == 1
    text = door.log.read_text()
    assert "worker-0 ended 3 times before it answered; the end of its log:" in text
    assert "this application cannot be built" in text
    assert door.processes() == []


def test_settings_that_a_worker_refuses_end_the_command_with_2_without_a_restart(start: Start) -> None:
    door = start(ready=False, app="create_refusing_app")
    assert door.process.wait(10) == 2
    assert door.log.read_text().count("routes[0].upstream") == 1
    assert "Traceback" not in door.log.read_text()


def test_a_child_that_never_answers_fails_the_start_and_is_named(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        door = start(ready=False, parts=[port], ready_seconds=20)
        assert door.process.wait(30) == 1
    assert f"part-{port} ended 3 times before it answered" in door.log.read_text()
    assert re.search(rf'"waiting_for": "[^"]*part-{port}', door.log.read_text())
    assert "Address already in use" in door.log.read_text()


def test_a_signal_during_the_start_ends_it(start: Start) -> None:
    door = start(ready=False, app="create_failing_app", ready_seconds=60)
    wait_until(lambda: door.said("process started"), seconds=PATIENCE_SECONDS)
    everything = door.processes()
    door.process.send_signal(signal.SIGTERM)
    assert door.process.wait(PATIENCE_SECONDS) == 0
    wait_until_gone(everything, seconds=AT_ONCE_SECONDS)


def test_localhost_listens_on_both_loopback_addresses(start: Start) -> None:
    door = start(server={"bind": "localhost:0"})
    port = door.addresses["bind"].rpartition(":")[2]
    assert httpx.get(f"http://127.0.0.1:{port}/pid").status_code == 200
    if not socket.has_ipv6 or not _loopback_6():
        pytest.skip("this machine has no ::1")
    assert httpx.get(f"http://[::1]:{port}/pid").status_code == 200


def _loopback_6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_the_output_of_children_is_in_the_log_with_their_names(start: Start, free_port: int) -> None:
    door = start(parts=[free_port])
    httpx.get(f"http://127.0.0.1:{free_port}/")
    wait_until(lambda: door.said('"line": "part speaking"'), seconds=PATIENCE_SECONDS)
    assert door.said('"process": "worker-0", "line": "worker speaking"')


def test_an_open_websocket_is_closed_with_the_code_for_reconnecting(start: Start) -> None:
    door = start()
    host, _, port = door.addresses["bind"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(HANDSHAKE)
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        door.process.send_signal(signal.SIGTERM)
        assert client.recv(16)[:4] == b"\x88\x02" + (1012).to_bytes(2, "big")
    assert door.process.wait(PATIENCE_SECONDS) == 0


def test_the_pause_before_a_restart_grows_to_half_a_minute() -> None:
    assert [pause_before_restart(n) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_an_exit_is_described_by_code_or_signal() -> None:
    assert describe_exit(3) == "exit code 3"
    assert describe_exit(-9) == "signal SIGKILL"
    assert describe_exit(-1000) == "signal 1000"


def test_the_configured_times_for_a_clean_end_are_below_five_seconds() -> None:
    assert WORKER_GRACE_SECONDS + OTHER_GRACE_SECONDS < WITHIN_SECONDS


def test_an_ended_process_is_recognised_as_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not is_alive(process.pid)
