"""Run an API under Uvicorn during development: restart it when its files change, and report when it fails.

`vestibule dev` starts it as `-m gateway.cli.dev_api module:application HOST PORT [path to ignore …]`. Uvicorn's own
reload would keep the port open while the API is broken, and all callers would wait without an answer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from watchfiles import PythonFilter, watch

STOP_SECONDS = 2.0
TOLD_TO_END = (0, -signal.SIGTERM, -signal.SIGINT)


class RunningApi:
    """One process of the API. If it ends by itself, the terminal says so."""

    def __init__(self, application: str, host: str, port: str) -> None:
        command = ("-m", "uvicorn", application, "--host", host, "--port", port, "--log-level", "warning")
        self._application = application
        self._is_wanted = True
        # The safe path is for this program: a folder here may have the name of a package. An API needs its own folder.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        arguments = [sys.executable, *command, "--timeout-graceful-shutdown", "1"]
        self._process = subprocess.Popen(arguments, env=environment)
        self._watching = threading.Thread(target=self._wait, daemon=True)
        self._watching.start()

    def _wait(self) -> None:
        code = self._process.wait()
        if self._is_wanted and code not in TOLD_TO_END:
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
    """Run until a signal ends this process and its group."""
    running = RunningApi(application, host, port)
    for _ in watch(Path.cwd(), watch_filter=PythonFilter(ignore_paths=overlooked), raise_interrupt=False):
        running.stop()
        running = RunningApi(application, host, port)


if __name__ == "__main__":
    main(*sys.argv[1:])
