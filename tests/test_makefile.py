"""What the tasks would run, by `make --dry-run`."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.repository import ROOT

MAKE = shutil.which("make") or "make"


def dry_run(*arguments: str, **variables: str) -> str:
    """What `make` would do if it were not started by another `make`."""
    environment = {"PATH": os.environ.get("PATH", "")} | variables
    command = (MAKE, "--dry-run", "--no-print-directory", "--old-file=.venv/.installed", *arguments)
    answer = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return answer.stdout


@pytest.mark.parametrize("variables", [{}, {"AS": "x86_64-linux-gnu-as"}], ids=["plain", "a toolchain's AS"])
def test_make_dev_signs_in_as_a_person_and_not_as_the_assembler_in_the_variable_as(variables: dict[str, str]) -> None:
    assert " --as alice:analyst " in dry_run("dev", **variables)


def test_make_dev_uses_variables_from_the_command_line() -> None:
    said = dry_run("dev", "DIR=../mine", "APP=page.py", "API=main:app", "AS=bob:viewer", "PORT=9000")
    assert "cd ../mine " in said
    assert "vestibule dev page.py --api main:app --as bob:viewer --port-option PORT= --port 9000" in said


def test_make_help_lists_every_task() -> None:
    listed = subprocess.run((MAKE, "help"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for task in ("check", "test", "demo", "dev", "lock", "clean"):
        assert f"make {task} " in listed


def test_make_bench_measures_a_part_alone() -> None:
    assert "tests/bench" not in dry_run("bench")
    said = dry_run("bench", "ONLY=verify,sign_in")
    assert " tests/bench/test_verify_bench.py tests/bench/test_sign_in_bench.py" in said


def test_dev_in_a_folder_of_ones_own_has_no_api_unless_it_is_named() -> None:
    assert "--api" not in dry_run("dev", "DIR=../mine", "APP=page.py")
    assert "--api api:app" in dry_run("dev")
