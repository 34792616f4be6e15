"""The command `vestibule` in a separate folder: in this process, or in another one if the process itself matters."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import structlog

from gateway.cli.main import main
from gateway.logs import LIBRARIES

ROOT = Path(__file__).parent.parent.parent


def vestibule(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command's entry point in this process, to its end, and keep its output.

    A process takes a second to start.

    The folder, the environment, standard input and output are those that `vestibule_process` gives a process.
    """
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        stack.enter_context(_kept_logging())
        stack.enter_context(chdir(folder))
        stack.enter_context(patch.dict(os.environ, {**environment(), **(variables or {})}, clear=True))
        stack.enter_context(patch.object(sys, "argv", ["vestibule", *arguments]))
        stack.enter_context(patch.object(sys, "stdin", io.StringIO(given or "")))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        code = _exit_code()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def _exit_code() -> int:
    """What a shell would see. An exception of any other kind, a trace for the user, fails the test that caused it."""
    try:
        main()
    except SystemExit as end:
        if end.code is None:
            return 0
        if not isinstance(end.code, int):
            raise AssertionError(f"a text in place of an exit code: {end.code!r}") from end
        return end.code
    return 0


@contextmanager
def _kept_logging() -> Iterator[None]:
    """Undo what a command sets up for the log of its own process."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**config)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def vestibule_process(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process, to its end, and keep its output. No fault may show a trace."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", *arguments],
        cwd=folder,
        env={**environment(), **(variables or {})},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def environment() -> dict[str, str]:
    """The environment of a command: a few of our variables, and where its modules are."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "120"}
