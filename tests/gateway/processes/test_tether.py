"""A tethered program runs as usual until the pipe from its starter closes; then all its processes end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.processes import tether
from tests.gateway.running_processes import descendants, is_alive, wait_until, wait_until_gone

TETHER = tether.__file__


class Tethered:
    """A tethered process and the writing end that keeps it alive."""

    def __init__(self, *program: str, cwd: Path | None = None) -> None:
        reading, self.writing = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, TETHER, str(reading), *program],
            pass_fds=[reading],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
        )
        os.close(reading)

    def cut(self) -> None:
        """What the kernel does when the starter dies."""
        os.close(self.writing)
        self.writing = -1

    def first_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def tethered(tmp_path: Path) -> Iterator[list[Tethered]]:
    started: list[Tethered] = []
    yield started
    for one in started:
        one.end()


def start(tethered: list[Tethered], *program: str, cwd: Path | None = None) -> Tethered:
    tethered.append(Tethered(*program, cwd=cwd))
    return tethered[-1]


def script(folder: Path, text: str, *, name: str = "program.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_tethered_script_runs_as_if_it_was_started_directly(tethered: list[Tethered], tmp_path: Path) -> None:
    path = script(tmp_path, "import sys; print(__name__, sys.argv[1:], sys.path[0])")
    one = start(tethered, path, "--flag", "value")
    assert one.first_line() == f"__main__ ['--flag', 'value'] {tmp_path}"
    assert one.process.wait(20) == 0


def test_a_tethered_module_runs_as_if_it_was_started_directly(tethered: list[Tethered], tmp_path: Path) -> None:
    script(tmp_path, "import sys; print(__name__, sys.argv[1:], sys.path[0], __spec__.name)", name="program.py")
    one = start(tethered, "-m", "program", "-x", cwd=tmp_path)
    assert one.first_line() == f"__main__ ['-x'] {tmp_path} program"


def test_the_folder_of_the_tether_does_not_hide_a_module(tethered: list[Tethered], tmp_path: Path) -> None:
    path = script(tmp_path, "import sys, os; print(any(p.endswith('gateway') for p in sys.path))")
    assert start(tethered, path).first_line() == "False"


def test_the_exit_code_of_the_program_is_kept(tethered: list[Tethered], tmp_path: Path) -> None:
    assert start(tethered, script(tmp_path, "raise SystemExit(7)")).process.wait(20) == 7


def test_the_program_ends_when_the_pipe_does(tethered: list[Tethered], tmp_path: Path) -> None:
    one = start(tethered, script(tmp_path, "import time; print('up', flush=True); time.sleep(60)"))
    assert one.first_line() == "up"
    one.cut()
    assert one.process.wait(20) == -signal.SIGTERM


def test_a_program_that_handles_sigterm_can_finish_its_work(tethered: list[Tethered], tmp_path: Path) -> None:
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *a: (print('tidy', flush=True), sys.exit(0)))\n"
        "print('up', flush=True)\ntime.sleep(60)\n"
    )
    one = start(tethered, script(tmp_path, text))
    assert one.first_line() == "up"
    one.cut()
    assert one.first_line() == "tidy"
    assert one.process.wait(20) == 0


@pytest.mark.parametrize("leader", ["stubborn", "polite"])
def test_grandchildren_that_ignore_sigterm_are_ended(tethered: list[Tethered], tmp_path: Path, leader: str) -> None:
    """Also if the leader of the group has ended before force is needed."""
    ignore = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stubborn = ignore + "print('up', flush=True)\ntime.sleep(60)"
    text = (
        "import signal, subprocess, sys, time\n"
        + ("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" if leader == "stubborn" else "")
        + f"subprocess.Popen([sys.executable, '-c', {stubborn!r}])\ntime.sleep(60)\n"
    )
    one = start(tethered, script(tmp_path, text))
    assert one.first_line() == "up"
    [grandchild] = descendants(one.process.pid)
    one.cut()
    wait_until_gone([grandchild], seconds=20)
    assert one.process.wait(20) == -(signal.SIGKILL if leader == "stubborn" else signal.SIGTERM)


def test_the_program_ends_when_the_holder_of_the_pipe_is_killed_with_sigkill(tmp_path: Path) -> None:
    """The same with a real starter that is killed, so that it can do nothing before it ends."""
    program = script(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    starter = (
        "import os, subprocess, sys, time\n"
        "r, w = os.pipe()\n"
        f"subprocess.Popen([sys.executable, {TETHER!r}, str(r), {program!r}], pass_fds=[r], start_new_session=True)\n"
        "os.close(r)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        wait_until(lambda: not is_alive(child), seconds=20)


@pytest.mark.parametrize("arguments", [[], ["3"], ["x", "script.py"], ["3", "-m"]])
def test_a_wrong_command_line_prints_the_usage(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, TETHER, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: tether.py")
    assert "Traceback" not in done.stderr
