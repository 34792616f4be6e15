"""Keep the processes of a front door running, and end them all when the supervisor is told to stop or dies.

Every child's tether has the reading end of one pipe. Only this process has the writing end. If it dies for any reason,
the pipe is closed, and every child ends its own process group.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence

import structlog

from bff.settings.tables import LogSettings
from gateway.faults import EXIT_OK, EXIT_USAGE, CommandFault
from gateway.processes.child_output import ChildOutput
from gateway.processes.children import Child, ChildSpec
from gateway.processes.listeners import close_all
from gateway.processes.refused_paths import RefusedPaths
from gateway.serving.drain import DRAIN_SECONDS

WORKER_GRACE_SECONDS = DRAIN_SECONDS + 0.5
OTHER_GRACE_SECONDS = 1.0
"""Together less than 5 s, the time in which everything must have ended."""
READY_SECONDS = 60.0
OPTIONAL_READY_SECONDS = 20.0
"""The longest wait for a part that the others do not need."""
PROBE_PAUSE_SECONDS = 0.1
FIRST_WORD_SECONDS = 1.5
NEXT_WORD_SECONDS = 10.0
"""After this time the log says what the start waits for; then again and again."""
EARLY_ENDS = 3
"""If a part ends this often before its first answer, it will not answer."""


class Supervisor:
    """Supervises `workers` and `others`. `run` returns the exit code of the command."""

    def __init__(
        self,
        workers: Sequence[ChildSpec],
        others: Sequence[ChildSpec],
        *,
        listeners: Sequence[socket.socket] = (),
        log: LogSettings | None = None,
        ready_seconds: float = READY_SECONDS,
    ) -> None:
        self._log = structlog.get_logger("vestibule.supervisor")
        self._listeners = list(listeners)
        self._ready_seconds = ready_seconds
        self._tether, self._held = os.pipe()
        json_lines = (log or LogSettings()).format == "json"
        self._workers = [self._child(spec, json_lines=json_lines, alone=len(workers) == 1) for spec in workers]
        self._others = [self._child(spec, json_lines=json_lines, alone=False) for spec in others]
        self._stopping = asyncio.Event()
        self._exit_code = EXIT_OK

    def _child(self, spec: ChildSpec, *, json_lines: bool, alone: bool) -> Child:
        is_apart = spec.plan is not None and bool(spec.plan.rules)
        refused = RefusedPaths(spec.folder, allowed_by=spec.allowed_by) if is_apart else None
        output = ChildOutput(spec.name, voice=spec.voice, json_lines=json_lines, prefix=not alone, refused=refused)
        return Child(spec, tether=self._tether, output=output, on_end=self._may_start_again)

    def _may_start_again(self, child: Child, code: int) -> bool:
        """Return False and stop everything if a worker reports that its settings cannot work."""
        if child not in self._workers or code != EXIT_USAGE:
            return True
        self._exit_code = EXIT_USAGE
        self._stopping.set()
        return False

    async def run(self, *, on_ready: Callable[[], None] = lambda: None) -> int:
        """Start everything, call `on_ready` when it answers, and wait for a signal.

        Raises:
            CommandFault: a required part did not answer at the start. Everything has been stopped by then.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        children = [*self._workers, *self._others]
        keeping = [asyncio.create_task(child.keep_running()) for child in children]
        stopping = asyncio.create_task(self._stopping.wait())
        ready = asyncio.create_task(self._wait_until_ready(children))
        try:
            await asyncio.wait((stopping, ready), return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                on_ready()
                await stopping
        finally:
            ready.cancel()
            stopping.cancel()
            await asyncio.wait((ready, stopping))  # no probe asks a part that is being stopped
            await self._end()
            await asyncio.gather(*keeping)
            os.close(self._held)
            os.close(self._tether)
        return self._exit_code

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            for child in (*self._workers, *self._others):
                child.kill()
        else:
            self._log.info("stopping")
        self._stopping.set()

    async def _wait_until_ready(self, children: Sequence[Child]) -> None:
        waited_for = [child.spec.name for child in children if child.spec.ready is not None]
        telling = asyncio.create_task(self._say_what_is_awaited(waited_for))
        try:
            await asyncio.gather(*(self._wait_for(child, waited_for) for child in children))
        finally:
            telling.cancel()
            await asyncio.wait((telling,))  # it says nothing about what the caller does next

    async def _say_what_is_awaited(self, waited_for: list[str]) -> None:
        """Log what has not answered yet: soon after the start, then from time to time. A start may take seconds."""
        pause = FIRST_WORD_SECONDS
        while True:
            await asyncio.sleep(pause)
            self._log.info("starting", waiting_for=", ".join(waited_for))
            pause = NEXT_WORD_SECONDS

    async def _wait_for(self, child: Child, waited_for: list[str]) -> None:
        """Return when `child` answers, and take it off the list. If it does not answer, log that, and fail if it is
        required."""
        if child.spec.ready is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience(child)
        while not await child.spec.ready():
            if loop.time() > end or child.starts > EARLY_ENDS:
                self._report_silence(child)
                break
            await asyncio.sleep(PROBE_PAUSE_SECONDS)
        else:
            self._log.debug("process answers", process=child.spec.name)
        waited_for.remove(child.spec.name)

    def _patience(self, child: Child) -> float:
        return self._ready_seconds if child.spec.required else min(self._ready_seconds, OPTIONAL_READY_SECONDS)

    def _report_silence(self, child: Child) -> None:
        if child.starts > EARLY_ENDS:
            how = f"ended {EARLY_ENDS} times before it answered"
        else:
            how = f"did not answer in {self._patience(child):g} s"
        if not child.spec.required:
            self._log.warning("does not answer yet", process=child.spec.name, how=how)
            return
        lines = "".join(f"\n  {line}" for line in child.output.last)
        raise CommandFault(f"{child.spec.name} {how}" + (f"; the end of its log:{lines}" if lines else ""))

    async def _end(self) -> None:
        """Stop the workers first, so that open requests still find what they need, then everything else."""
        close_all(self._listeners)  # new connections are refused once the workers have closed their copies too
        await asyncio.gather(*(worker.stop(grace_seconds=WORKER_GRACE_SECONDS) for worker in self._workers))
        await asyncio.gather(*(other.stop(grace_seconds=OTHER_GRACE_SECONDS) for other in self._others))


def supervise(
    workers: Sequence[ChildSpec],
    others: Sequence[ChildSpec],
    *,
    listeners: Sequence[socket.socket] = (),
    log: LogSettings | None = None,
    on_ready: Callable[[], None] = lambda: None,
    ready_seconds: float = READY_SECONDS,
) -> int:
    """Call `Supervisor.run` from synchronous code."""

    async def run() -> int:
        supervisor = Supervisor(workers, others, listeners=listeners, log=log, ready_seconds=ready_seconds)
        return await supervisor.run(on_ready=on_ready)

    return asyncio.run(run())
