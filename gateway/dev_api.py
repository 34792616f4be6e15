"""Runs somebody's API under Uvicorn while they write it: started again when its files change, and told plainly when it
does not start.

Started by `vestibule dev` as `-m gateway.dev_api module:application HOST PORT [what to overlook …]`. Uvicorn's own
reload would keep the port open while the API is broken, and everybody who calls would wait for an answer in vain.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from watchfiles import Change, PythonFilter, watch

STOP_SECONDS = 2.0


class ApiFiles(PythonFilter):
    """Python files, without those that belong to the pages."""

    def __init__(self, overlooked: Sequence[str]) -> None:
        super().__init__(ignore_paths=list(overlooked))

    def __call__(self, change: Change, path: str) -> bool:
        return super().__call__(change, path)


class RunningApi:
    """One process of the API. Whoever reads the terminal is told when it ends by itself."""

    def __init__(self, application: str, host: str, port: str) -> None:
        command = ("-m", "uvicorn", application, "--host", host, "--port", port, "--log-level", "warning")
        self._application = application
        self._is_wanted = True
        self._process = subprocess.Popen([sys.executable, *command, "--timeout-graceful-shutdown", "1"])
        self._watching = threading.Thread(target=self._wait, daemon=True)
        self._watching.start()

    def _wait(self) -> None:
        code = self._process.wait()
        if self._is_wanted:
            print(
                f"ERROR: {self._application} does not run (exit code {code}); the lines above say why. "
                f"It is started again when a Python file below {Path.cwd()} is saved.",
                flush=True,
            )

    def stop(self) -> None:
        self._is_wanted = False
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watching.join()


def main(application: str, host: str, port: str, *overlooked: str) -> None:
    """Run until a signal ends this process and with it its group."""
    running = RunningApi(application, host, port)
    for _ in watch(Path.cwd(), watch_filter=ApiFiles(overlooked), raise_interrupt=False):
        running.stop()
        running = RunningApi(application, host, port)


if __name__ == "__main__":
    main(*sys.argv[1:])
