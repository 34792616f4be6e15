"""An API under development: a fault is reported at once, to callers too.

Only changes of its own files start it again.
"""

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
from tests.gateway.running_processes import is_alive, wait_until

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
        except (httpx.TransportError, ValueError):
            return 0

    def refusal(self) -> httpx.Response | None:
        """The 503 to a call with a body, which a broken API does not read; None while there is none."""
        try:
            answer = httpx.post(f"http://127.0.0.1:{self.port}/things", content=b"x" * 70_000, timeout=5)
        except httpx.TransportError:
            return None
        return answer if answer.status_code == 503 else None

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


def test_an_api_that_cannot_start_is_reported_and_starts_when_it_is_fixed(api: Api) -> None:
    wait_until(lambda: "the API main:app is not running: " in api.log.read_text(), seconds=20)
    assert "No module named 'no_such_module_of_anybody'" in api.log.read_text()
    wait_until(api.refusal, seconds=5)
    (api.folder / "main.py").write_text(GOOD)
    wait_until(api.pid, seconds=20)
    wait_until(lambda: "The API main:app is running." in api.log.read_text(), seconds=5)
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
    assert api.log.read_text().count("is not running") == 1


def test_a_call_during_a_restart_waits_for_the_new_process(folder: Path) -> None:
    (folder / "main.py").write_text(GOOD)
    running = Api(folder)
    try:
        wait_until(running.pid, seconds=20)
        first = running.pid()
        (folder / "main.py").write_text("import time\ntime.sleep(1)\n" + GOOD)
        wait_until(lambda: not is_alive(first), seconds=20)
        answer = httpx.get(f"http://127.0.0.1:{running.port}/", timeout=20)
    finally:
        running.stop()
    assert answer.status_code == 200
    assert int(answer.text) != first


def test_a_call_that_waits_for_a_new_process_hears_that_it_is_broken(folder: Path) -> None:
    (folder / "main.py").write_text(GOOD)
    running = Api(folder)
    try:
        wait_until(running.pid, seconds=20)
        first = running.pid()
        (folder / "main.py").write_text("import time\ntime.sleep(1)\nraise RuntimeError('no ' + 'model ' * 60)\n")
        wait_until(lambda: not is_alive(first), seconds=20)
        answer = httpx.get(f"http://127.0.0.1:{running.port}/", timeout=20)
    finally:
        running.stop()
    assert (answer.status_code, answer.json()["code"]) == (503, "api_not_running")
    detail = answer.json()["detail"]
    assert detail.startswith("The API main:app is not running: RuntimeError: no model model")
    assert len(detail) == 200, "a page shows it whole"


FAULTS = {
    "a fault of syntax": ("def f(:\n", "SyntaxError: invalid syntax (main.py, line 1)"),
    "another name": (GOOD.replace("app", "api"), "main has no app; it has api"),
    "no application": ("app = 3\n", "app in main is not an application, but a int"),
    "an early exit": ("import sys\nsys.exit()\n", "it called exit(None) while it was imported"),
    "an exception": ("open('/no/such/file')\n", "FileNotFoundError: [Errno 2] No such file or directory"),
    "a fault at the start": (
        GOOD.replace("app = FastAPI()", "async def start(_):\n    raise RuntimeError('no model')\n    yield\n\n")
        + "\napp = FastAPI(lifespan=start)\napp.get('/')(who)\n",
        "RuntimeError: no model",
    ),
}


@pytest.mark.parametrize(("text", "reason"), FAULTS.values(), ids=FAULTS)
def test_callers_and_the_terminal_get_the_last_line_of_the_error(folder: Path, text: str, reason: str) -> None:
    (folder / "main.py").write_text(text.replace('@app.get("/")\n', "") if "lifespan" in text else text)
    running = Api(folder)
    try:
        wait_until(lambda: "is not running" in running.log.read_text(), seconds=20)
        wait_until(running.refusal, seconds=5)
        refusal = running.refusal()
    finally:
        running.stop()
    assert refusal is not None
    problem = refusal.json()
    assert problem["code"] == "api_not_running"
    assert problem["detail"].startswith(f"The API main:app is not running: {reason}")
    said = running.log.read_text()
    assert problem["detail"].removeprefix("The") in said.replace("ERROR: the", "ERROR: The")
    assert "importlib" not in said  # the code that imports the API has no part in the fault
