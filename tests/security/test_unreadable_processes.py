"""PX-16: other programs of the same user cannot read the memory of the front door, and it leaves no core file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.running_processes import command_line_of, wait_until
from tests.security.paged_door import PagedDoor, command_as, environment, laid_out, running

PARTS = ("environ", "mem", "maps", "auxv", "io")
SPY = """
import ctypes, json, sys
pid, parts, found = int(sys.argv[1]), sys.argv[2:], {}
for part in parts:
    try:
        with open(f"/proc/{pid}/{part}", "rb") as file:
            found[part] = "opened" if part == "mem" else f"read {len(file.read(64))}"
    except OSError as exc:
        found[part] = type(exc).__name__
found["ptrace"] = ctypes.CDLL(None).ptrace(16, pid, 0, 0)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def door() -> Iterator[PagedDoor]:
    """Run as a plain user. The test's user is one, or becomes one."""
    with laid_out(starter="plain") as place, running(place, starter="plain") as started:
        yield started


def spy_on(door: PagedDoor, pid: int) -> dict[str, object]:
    """What another program of the door's user, outside of a sandbox, can read from `pid`."""
    program = (sys.executable, "-I", "-S", "-c", SPY, str(pid), *PARTS)
    command = command_as("plain", program, place=door.place)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=30)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("target", ["supervisor", "worker"])
def test_px_16_another_program_of_the_same_user_cannot_inspect_our_processes(door: PagedDoor, target: str) -> None:
    pid = {"supervisor": door.supervisor, "worker": door.worker}[target]
    assert spy_on(door, pid) == dict.fromkeys(PARTS, "PermissionError") | {"ptrace": -1}


def test_px_16_this_test_would_notice_a_process_that_can_be_inspected(door: PagedDoor) -> None:
    """The control: the same program, looking at a process of the same user that has done nothing."""
    command = command_as("plain", (sys.executable, "-I", "-S", "-c", "input()"), place=door.place)
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE) as victim:
        wait_until(lambda: "launcher.py" not in command_line_of(victim.pid), seconds=10)
        found = spy_on(door, victim.pid)
        victim.kill()
    assert str(found["environ"]).startswith("read ")
    assert str(found["maps"]).startswith("read ")


@pytest.mark.parametrize("target", ["supervisor", "worker", "page"])
def test_px_16_our_processes_write_no_core_files(door: PagedDoor, target: str) -> None:
    pid = {"supervisor": door.supervisor, "worker": door.worker, "page": door.page("alpha")}[target]
    limits = Path(f"/proc/{pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


ASK = """
import ctypes
from gateway.cli import main as cli
dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
print(dumpable())
cli.app = lambda prog_name: print(dumpable())
cli.main()
"""


def test_px_16_every_command_protects_its_process_before_it_reads_files() -> None:
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["1", "0"]
