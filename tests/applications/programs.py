"""Programs of other frameworks, and how to run them. Each shows a value that changes by itself."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.applications import sources
from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class Program:
    """`files` are written to the program's folder; `arguments` follow the interpreter of `environment`.

    In the arguments `{port}` is the program's own port and `{public}` the host and port that browsers use. `path` is
    the page to open, `route` what the door's route needs, `quiet` the paths that its pages poll.
    """

    environment: str
    files: Mapping[str, str]
    arguments: tuple[str, ...] = ("app.py", "{port}")
    path: str = "/?chart=3"
    route: Mapping[str, Any] = field(default_factory=dict)
    quiet: tuple[str, ...] = ()


PROGRAMS: Final[Mapping[str, Program]] = {
    "dash": Program("dash", {"app.py": sources.DASH}, quiet=("/_dash-update-component",)),
    "nicegui": Program("dash", {"app.py": sources.NICEGUI}, quiet=("/_nicegui_ws/socket.io",)),
    "marimo": Program(
        "dash",
        {"app.py": sources.MARIMO},
        ("-m", "marimo", "run", "app.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", "{port}"),
    ),
    "gradio": Program("gradio", {"app.py": sources.GRADIO}, quiet=("/gradio_api/queue", "/gradio_api/heartbeat")),
    "panel": Program(
        "panel",
        {"app.py": sources.PANEL},
        (
            *("-m", "panel", "serve", "app.py", "--index", "app", "--address", "127.0.0.1", "--port", "{port}"),
            *("--allow-websocket-origin", "{public}"),
        ),
        path="/app?chart=3",
    ),
    "shiny": Program(
        "shiny", {"app.py": sources.SHINY}, ("-m", "shiny", "run", "--host", "127.0.0.1", "--port", "{port}", "app.py")
    ),
    "jupyterlab": Program(
        "jupyterlab",
        {"beat.ipynb": sources.NOTEBOOK},
        (
            *("-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port={port}"),
            *("--IdentityProvider.token=", "--ServerApp.allow_remote_access=True"),
        ),
        path="/lab/tree/beat.ipynb",
        route={"encoded_slashes": True},
        quiet=("/api/kernels", "/api/sessions", "/api/terminals", "/api/contents", "/lab/api/workspaces"),
    ),
    "mlflow": Program(
        "mlflow",
        {},
        (
            *("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
            *("--backend-store-uri", "sqlite:///runs.db", "--artifacts-destination", "./artifacts"),
            *("--allowed-hosts", "{public}", "--cors-allowed-origins", "http://{public}"),
        ),
        path="/#/experiments",
    ),
}
QUICK: Final = ("dash", "nicegui", "marimo")
"""Those that `make test` runs too."""


@contextmanager
def running_program(
    name: str, python: Path, folder: Path, *, public: str, arguments: Sequence[str] = (), seconds: float = 120
) -> Iterator[str]:
    """Run the program of this name; yields its address once it listens. `arguments` come after its own."""
    program = PROGRAMS[name]
    for file, text in program.files.items():
        (folder / file).write_text(text)
    with running_command([str(python), *program.arguments, *arguments], folder, public=public, seconds=seconds) as url:
        yield url


@contextmanager
def running_command(
    command: Sequence[str],
    folder: Path,
    *,
    public: str,
    environ: Mapping[str, str] | None = None,
    port: int = 0,
    seconds: float = 120,
) -> Iterator[str]:
    """Run a command in `folder` until the block ends; yields its address once it listens on its port."""
    port = port or free_port()
    parts = [part.replace("{port}", str(port)).replace("{public}", public) for part in command]
    log = folder / "log"
    with log.open("wb") as output:
        # A separate home: some programs keep settings there, and they must not get a proxy or a key of the caller.
        own = {"HOME": str(folder), "PATH": "/usr/bin:/bin", **(environ or {})}
        process = subprocess.Popen(parts, cwd=folder, env=own, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, log, seconds=seconds)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"ended early:\n{log.read_text()}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"does not listen after {seconds:.0f} s:\n{log.read_text()}")
