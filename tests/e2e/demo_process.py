"""The command as a person runs it: in a separate process, whose output is read, and which is ended by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


class CommandProcess:
    """`vestibule …` in the background; `output` grows while it runs."""

    def __init__(self, arguments: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", *arguments],
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, text: str, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.output:
            assert self._process.poll() is None, f"ended early:\n{self.output}"
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.output}"
            time.sleep(0.05)

    def stop(self, *, sent: signal.Signals = signal.SIGTERM, seconds: float = 10) -> int:
        """Send a signal once and wait; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(sent)
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        return code

    def wait(self, *, seconds: float = 30) -> int:
        """Wait for a command that ends by itself; the exit code."""
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        return code

    def descendants(self) -> set[int]:
        """Pids of every process that descends from this one, as /proc shows them now."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and (parent := _parent(entry)) is not None:
                children.setdefault(parent, []).append(int(entry.name))
        found: set[int] = set()
        todo = [self.pid]
        while todo:
            new = children.get(todo.pop(), [])
            found.update(new)
            todo += new
        return found

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for line in stream:
                self.output += line


def is_running(pid: int) -> bool:
    """True if the process is there and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: set[int], *, seconds: float = 5) -> set[int]:
    """The pids still running after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while (left := {pid for pid in pids if is_running(pid)}) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None
