"""Small programs of other frameworks. Each shows a value that changes by itself."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class Program:
    """`source` goes to `app.py`; `arguments` follow the interpreter. `{port}` stands for the port.

    `shows` is a text that a page has when it is alive.
    """

    source: str
    arguments: tuple[str, ...] = ("app.py", "{port}")
    shows: str = "beat 3"


DASH: Final = """
import sys
from dash import Dash, Input, Output, dcc, html

app = Dash(__name__)
app.layout = html.Div([html.P(id="beat"), dcc.Interval(id="timer", interval=500)])


@app.callback(Output("beat", "children"), Input("timer", "n_intervals"))
def beat(count):
    return f"beat {count}"


app.run(host="127.0.0.1", port=int(sys.argv[1]))
"""

NICEGUI: Final = """
import sys
from nicegui import ui


@ui.page("/")
def page():
    label = ui.label("beat 0")
    counts = iter(range(1, 10**9))
    ui.timer(0.5, lambda: label.set_text(f"beat {next(counts)}"))


ui.run(host="127.0.0.1", port=int(sys.argv[1]), reload=False, show=False)
"""

MARIMO: Final = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    mo.md("beat 3")
    return


if __name__ == "__main__":
    app.run()
"""

PROGRAMS: Final[Mapping[str, Program]] = {
    "dash": Program(DASH),
    "nicegui": Program(NICEGUI),
    "marimo": Program(
        MARIMO,
        ("-m", "marimo", "run", "app.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", "{port}"),
    ),
}


@contextmanager
def running_program(name: str, python: Path, folder: Path, *, seconds: float = 60) -> Iterator[str]:
    """Run the program of this name; yields its address once it listens."""
    program, port = PROGRAMS[name], free_port()
    (folder / "app.py").write_text(program.source)
    command = [str(python), *(part.format(port=port) for part in program.arguments)]
    log = folder / "log"
    with log.open("wb") as output:
        # A separate home: some programs keep settings there, and they must not get a proxy or a key of the caller.
        environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT)
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
