"""One child process: it is started through the tether, read, restarted when it ends, and stopped with its children."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from gateway.processes.child_output import ChildOutput, Voice
from gateway.processes.readiness import Probe
from gateway.processes.refused_paths import ALLOWED_BY
from gateway.sandbox.interpreters import PACKAGES_FOLDER
from gateway.sandbox.leftovers import end_all_of
from gateway.sandbox.plan import Plan, launch_command

TETHER = str(Path(__file__).with_name("tether.py"))
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
CANNOT_START = 127
LAST_WORDS_SECONDS = 0.5
SETTLED_SECONDS = 60.0
"""If a child has run this long, its start was good: the next pause is the shortest again."""
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE")
PLAIN_OUTPUT = {"NO_COLOR": "1", "TERM": "dumb", "STREAMLIT_LOGGER_ENABLE_RICH": "false"}
"""Variables against colours and frames, which are noise in a log. Of all children only Streamlit ignores NO_COLOR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run. `program` is `-m module …` or `script.py …`. `handed` is its standard input and may be secret."""

    name: str
    program: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: str = ""
    python: str = sys.executable
    handed: bytes = field(default=b"", repr=False)
    descriptors: tuple[int, ...] = ()
    ready: Probe | None = None
    required: bool = True
    """True if nothing works without it: if it does not answer at the start, the start has failed."""
    voice: Voice = "shown"
    plan: Plan | None = None
    """What the process gives up before the program starts; None for nothing."""
    allowed_by: str = ALLOWED_BY
    """What allows a process with a plan to open more paths, for the person who reads the log."""


def minimal_environment(environ: Mapping[str, str], *, own_python: bool = True) -> dict[str, str]:
    """Return the variables that any program needs; none can be a secret. Our own Python also gets the path of our
    packages."""
    kept = {name: value for name, value in environ.items() if name in PASSED_ON or name.startswith("LC_")}
    if own_python and "site-packages" not in PACKAGES_FOLDER.parts:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PACKAGES_FOLDER), kept.get("PYTHONPATH", ""))))
    kept["PYTHONUNBUFFERED"] = "1"
    return kept | PLAIN_OUTPUT


def pause_before_restart(failures: int) -> float:
    """Return the seconds to wait: 0.5, 1, 2 … 30 after the first, second, third … early end in a row."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS))


def describe_exit(code: int) -> str:
    """Describe how a process ended: `exit code 3` or `signal SIGKILL`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


class Child:
    """Keeps the process of `spec` running until `stop`. `on_end(child, code)` may return False to prevent a restart."""

    def __init__(
        self,
        spec: ChildSpec,
        *,
        tether: int,
        output: ChildOutput,
        on_end: Callable[[Child, int], bool] = lambda _child, _code: True,
    ) -> None:
        self.spec = spec
        self.output = output
        self.starts = 0
        self.pid = 0
        self._tether = tether
        self._on_end = on_end
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._log = structlog.get_logger("vestibule.supervisor")

    async def keep_running(self) -> None:
        """Start, wait, start again. This ends after `stop`, or when `on_end` says that a restart cannot help."""
        failures = 0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                code = await self._run_once()
                if self._stopping.is_set() or not self._on_end(self, code):
                    return
                failures = 1 if time.monotonic() - began >= SETTLED_SECONDS else failures + 1
                pause = pause_before_restart(failures)
                self._log.warning(
                    "process ended", process=self.spec.name, how=describe_exit(code), restart_in_seconds=pause
                )
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
        finally:
            self._ended.set()

    async def _run_once(self) -> int:
        # We make the pipe ourselves: asyncio's `wait` also waits for its pipes, and a grandchild may hold them open.
        said, saying = os.pipe()
        try:
            process = await self._start(saying)
        except OSError as exc:
            os.close(said)
            self.output.feed(f"cannot be started: {exc.strerror}: {exc.filename}\n".encode())
            return CANNOT_START
        finally:
            os.close(saying)
        passing_on = asyncio.create_task(self._pass_on(said))
        try:
            await self._hand_over(process)
            return await process.wait()
        finally:
            self._signal_group(signal.SIGKILL)  # processes that it started must end with it
            self.pid = 0
            await end_all_of(self.spec.plan, python=self.spec.python)  # those that left its group, too
            await asyncio.wait((passing_on,), timeout=LAST_WORDS_SECONDS)
            passing_on.cancel()
            await asyncio.wait((passing_on,))  # nothing reaches the output after its end, and the pipe is closed
            self.output.finish()

    async def _start(self, output: int) -> asyncio.subprocess.Process:
        spec = self.spec
        program, kept = (spec.python, TETHER, str(self._tether), *spec.program), (self._tether, *spec.descriptors)
        if spec.plan is not None:
            program = tuple(launch_command(spec.plan, program, python=sys.executable, descriptors=kept))
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=asyncio.subprocess.PIPE if spec.handed else asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(spec.environment),
            cwd=spec.folder or None,
            pass_fds=kept,
            start_new_session=True,
        )
        self.starts += 1
        self.pid = process.pid
        self._log.debug("process started", process=spec.name, pid=process.pid)
        if self._stopping.is_set():
            self._signal_group(signal.SIGTERM)  # `stop` came while it was being started
        return process

    async def _hand_over(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None:
            return
        with suppress(ConnectionError):  # it ended before it read this; its exit code will say why
            process.stdin.write(self.spec.handed)
            await process.stdin.drain()
        process.stdin.close()

    async def _pass_on(self, descriptor: int) -> None:
        """Pass what is printed to `output`, until the last process with the other end of the pipe is gone."""
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", buffering=0)
        )
        try:
            while data := await stream.read(65_536):
                self.output.feed(data)
        finally:
            transport.close()

    async def stop(self, *, grace_seconds: float) -> None:
        """Send SIGTERM to the group, and SIGKILL to what is left after `grace_seconds`. Return when it is gone."""
        self.ask_to_stop()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), grace_seconds)
            return
        self.kill()
        await self._ended.wait()

    def ask_to_stop(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            self.output.expect_the_end()
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        self._stopping.set()
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
