"""Run an API under Uvicorn during development: restart it when its files change, and report when it fails.

`vestibule dev` starts it as `-m gateway.cli.dev_api module:application HOST PORT [path to ignore …]`. Uvicorn's own
reload would let all callers wait without an answer while the API is broken. Here callers get an answer at once that
says why (`gateway.cli.dev_api_down`).

This process owns the listening socket. The API gets it as a file descriptor. So a call that comes while the API starts
again waits for the new process, and is not refused.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from watchfiles import PythonFilter, watch

from bff.contract import CODE_API_NOT_RUNNING
from gateway.cli.dev_api_down import DownNotice

STOP_SECONDS = 2.0
LAST_WORDS_SECONDS = 0.5
REMEMBERED_LINES = 200
WAITING_CALLS = 128
MOST_DETAIL = 200
"""Characters of a reason. A page shows no longer one."""
PROGRAM = str(Path(__file__).with_name("dev_api_process.py"))
REASON = "reason: "
"""How `dev_api_process.py` begins its last line."""


class RunningApi:
    """One process of the API. If it ends by itself, the terminal says so, and so does the answer to callers."""

    def __init__(self, application: str, listener: socket.socket, *, after_fault: bool = False) -> None:
        self._application = application
        self._listener = listener
        self._is_wanted = threading.Event()
        self._is_wanted.set()
        self._notice: DownNotice | None = None
        command = [sys.executable, PROGRAM, application, "--fd", str(listener.fileno()), "--log-level", "warning"]
        self._process = subprocess.Popen(
            [*command, "--timeout-graceful-shutdown", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            pass_fds=(listener.fileno(),),
        )
        self._lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._reading = _started(self._read)
        self._watching = _started(self._watch)
        if after_fault:
            _started(self._say_when_it_runs)

    @property
    def has_failed(self) -> bool:
        return self._notice is not None

    def _read(self) -> None:
        """Pass on what the process prints, and keep its last lines."""
        for line in self._process.stdout or ():
            self._lines.append(line.rstrip())
            if not line.startswith(REASON):
                print(line, end="", flush=True)

    def _watch(self) -> None:
        """Wait for the end of the process. If it is still wanted, say why it ended."""
        code = self._process.wait()
        self._reading.join(LAST_WORDS_SECONDS)  # no longer: a process that it started may hold its output open
        if not self._is_wanted.is_set():
            return
        fault = f"{self._application} is not running: {last_reason(list(self._lines)) or f'exit code {code}'}"
        print(f"ERROR: the API {fault}", flush=True)
        print(f"It is started again when a Python file below {Path.cwd()} is saved.", flush=True)
        self._notice = DownNotice(self._listener, shortened(f"The API {fault}"))

    def _say_when_it_runs(self) -> None:
        """Make one call, which waits until this process or its successor answers."""
        if answers(self._listener.getsockname()) and self._is_wanted.is_set():
            print(f"The API {self._application} is running.", flush=True)

    def stop(self) -> None:
        self._is_wanted.clear()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watching.join()
        if self._notice is not None:
            self._notice.close()


def answers(address: tuple[str, int]) -> bool:
    """True if the API answers, False if somebody answers in its place or breaks off."""
    connection = http.client.HTTPConnection(*address)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        document = json.loads(answer.read()) if answer.status == 503 else None
    except (OSError, http.client.HTTPException):
        return False
    except ValueError:
        return True  # a 503 of the API itself
    finally:
        connection.close()
    return not (isinstance(document, dict) and document.get("code") == CODE_API_NOT_RUNNING)


def shortened(text: str) -> str:
    """Return `text` as one line that a page shows whole."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_DETAIL else f"{line[: MOST_DETAIL - 1]}…"


def last_reason(lines: Sequence[str]) -> str:
    """Return why a program ended, from what it printed: the stated reason, or the last line of its last trace."""
    for line in reversed(lines):
        if line.startswith(REASON):
            return line.removeprefix(REASON)
    in_trace, found = False, ""
    for line in lines:
        if "Traceback (most recent call last)" in line:
            in_trace = True
        elif in_trace and line and not line.startswith((" ", "|", "+")):
            in_trace, found = False, line
        elif line.startswith("ERROR:"):
            found = found or line.removeprefix("ERROR:").strip()
    return found


def main(application: str, host: str, port: str, *overlooked: str) -> None:
    """Run until a signal ends this process and its group."""
    listener = socket.create_server((host, int(port)), backlog=WAITING_CALLS)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the connections of the API inherit it
    running = RunningApi(application, listener)
    for _ in watch(Path.cwd(), watch_filter=PythonFilter(ignore_paths=overlooked), raise_interrupt=False):
        running.stop()
        running = RunningApi(application, listener, after_fault=running.has_failed)


def _started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    main(*sys.argv[1:])
