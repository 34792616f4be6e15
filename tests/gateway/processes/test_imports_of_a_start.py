"""What a start of the front door imports: each library more is time that every start, restart and worker takes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.repository import ROOT

PROCESSES = {
    "the command": "gateway.cli.main",
    "a worker": "gateway.processes.worker, gateway.app",
}
NOT_AT_THE_START = {
    "the command": ("fastapi", "redis", "uvicorn", "httpx", "bff.assembly", "bff.testing", "gateway.pipeline"),
    "a worker": ("fastapi", "redis", "typer", "bff.testing", "gateway.cli"),
}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_start_imports_no_library_that_it_does_not_use(process: str) -> None:
    code = f"import json, sys, {PROCESSES[process]}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout)) & set(NOT_AT_THE_START[process])
