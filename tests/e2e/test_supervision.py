"""The processes of the demo start together, are started again when they die, and all end together."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.e2e.demo_process import CommandProcess, is_running, wait_until_gone
from tests.ports import free_port

pytestmark = pytest.mark.timeout(120)
PATIENCE_SECONDS = 30


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(port: int):  # type: ignore[no-untyped-def]  # a generator of the process
    process = CommandProcess(["demo", "--port", str(port)])
    process.wait_for("is ready")
    yield process
    if is_running(process.pid):
        process.stop(sent=signal.SIGKILL)


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def child_called(process: CommandProcess, mark: str) -> int:
    """The pid of the descendant whose command line holds `mark`."""
    for pid in process.descendants():
        if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError(f"no child with {mark!r}")


def answers(url: str) -> bool:
    try:
        return httpx.get(url, headers={"Sec-Fetch-Mode": "cors"}).status_code < 500
    except httpx.HTTPError:
        return False


def wait_for_answer(url: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not answers(url):
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def ends_with_everything(running: CommandProcess, port: int, *, sent: signal.Signals) -> None:
    """How long the end may take is asserted where the times are set: tests/gateway/test_supervisor.py."""
    family = running.descendants()
    assert len(family) >= 4  # worker, provider, API, Streamlit
    assert running.stop(sent=sent, seconds=PATIENCE_SECONDS) == 0
    assert wait_until_gone(family, seconds=PATIENCE_SECONDS) == set()
    assert is_free(port)


@pytest.mark.long
def test_sigterm_ends_every_child(running: CommandProcess, port: int) -> None:
    ends_with_everything(running, port, sent=signal.SIGTERM)


def test_killing_the_supervisor_ends_all_its_processes(running: CommandProcess, port: int) -> None:
    family = running.descendants()
    running.stop(sent=signal.SIGKILL)
    assert wait_until_gone(family, seconds=PATIENCE_SECONDS) == set()
    assert is_free(port)


def test_a_killed_worker_and_a_killed_child_are_started_again_and_ctrl_c_ends_all(
    running: CommandProcess, port: int
) -> None:
    url = f"http://localhost:{port}"
    for mark in ("gateway.processes.worker", "streamlit", "bff.testing.provider"):
        pid = child_called(running, mark)
        os.kill(pid, signal.SIGKILL)
        assert wait_until_gone({pid}, seconds=PATIENCE_SECONDS) == set()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                again = child_called(running, mark)
                break
            except (AssertionError, OSError):
                assert time.monotonic() < deadline, running.output
                time.sleep(0.1)
        assert again != pid
        wait_for_answer(url + "/auth/session")
    assert "SIGKILL" in running.output or "signal 9" in running.output
    ends_with_everything(running, port, sent=signal.SIGINT)


def test_a_port_in_use_is_reported_with_the_fix(port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = CommandProcess(["demo", "--port", str(port)])
        assert process.stop(sent=signal.SIGCONT, seconds=20) != 0
    assert str(port) in process.output
    assert "--port" in process.output
    assert "Traceback" not in process.output
