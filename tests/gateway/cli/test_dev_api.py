"""An API under development: a fault in it is told at once and refuses callers; its own files alone start it again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev import page_files
from gateway.processes.listeners import free_port
from tests.gateway.commands import environment
from tests.gateway.running_processes import wait_until

GOOD = """
import os
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def who() -> int:
    return os.getpid()
"""


class Api:
    """`gateway.cli.dev_api` on the API in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "gateway.cli.dev_api",
                    "main:app",
                    "127.0.0.1",
                    str(self.port),
                    *self.overlooked(),
                ],
                cwd=folder,
                env=environment() | {"PYTHONSAFEPATH": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def overlooked(self) -> tuple[str, ...]:
        return page_files(self.folder / "app.py")

    def pid(self) -> int:
        """Process that answers; 0 while nobody does."""
        try:
            return int(httpx.get(f"http://127.0.0.1:{self.port}/", timeout=2).text)
        except httpx.ConnectError:
            return 0

    def stop(self) -> None:
        os.killpg(self.process.pid, 15)
        self.process.wait(5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "views").mkdir()
    return tmp_path


@pytest.fixture
def api(folder: Path) -> Iterator[Api]:
    (folder / "main.py").write_text("import no_such_module_of_anybody\n")
    running = Api(folder)
    yield running
    running.stop()


def test_a_broken_api_is_told_refuses_callers_and_comes_up_when_it_is_fixed(api: Api) -> None:
    wait_until(lambda: "main:app does not run" in api.log.read_text(), seconds=20)
    assert "No module named 'no_such_module_of_anybody'" in api.log.read_text()
    assert api.pid() == 0
    (api.folder / "main.py").write_text(GOOD)
    wait_until(api.pid, seconds=20)
    first = api.pid()
    (api.folder / "app.py").write_text("x = 1\n")
    (api.folder / "views" / "start.py").write_text("x = 1\n")
    (api.folder / "model.py").write_text("x = 1\n")
    wait_until(lambda: api.pid() not in (0, first), seconds=20)
    second = api.pid()
    (api.folder / "app.py").write_text("x = 2\n")
    (api.folder / "views" / "start.py").write_text("x = 2\n")
    with pytest.raises(AssertionError):
        wait_until(lambda: api.pid() != second, seconds=2)
    assert api.log.read_text().count("does not run") == 1
