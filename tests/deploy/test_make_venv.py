"""`make venv` says what it is doing, and fails when pip does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.repository import ROOT

PYTHON = """#!/bin/sh
case "$*" in
  *constraints.txt*)
    echo "Collecting numpy==2.0 (from -r deploy/constraints.txt (line 3))"
    echo "  Downloading numpy-2.0-py3-none-any.whl (1 MB)"
    echo "Requirement already satisfied: redis[hiredis]==7.0 in /somewhere (from -r x)"
    echo "Collecting numpy==2.0"
    echo "Installing collected packages: numpy, redis"
    [ "$CODE" = 0 ] || echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"
    exit "$CODE" ;;
esac
"""


def make_venv(folder: Path, *, code: int) -> subprocess.CompletedProcess[str]:
    """Run the script on an environment whose Python prints what pip would print, and ends with `code`."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PYTHON)
    python.chmod(0o755)
    command = ("sh", "deploy/make-venv.sh", str(folder))
    environment = {"PATH": os.environ["PATH"], "CODE": str(code)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_each_package_is_printed_once_with_the_total_number(tmp_path: Path) -> None:
    done = make_venv(tmp_path, code=0)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines if " of " in line] == ["1", "2"]
    assert [line.split()[-1] for line in lines if " of " in line] == ["numpy", "redis"]
    assert "Downloading" not in done.stdout


@pytest.mark.parametrize("code", [1, 2])
def test_an_error_of_pip_is_shown_and_fails_the_command(tmp_path: Path, code: int) -> None:
    done = make_venv(tmp_path, code=code)
    assert done.returncode == code
    assert "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in done.stdout
