"""Which tests share a process of a parallel run, and which come first."""

from __future__ import annotations

import pytest

from tests import run_order
from tests.repository import ROOT, repository_files

NAMED = sorted({*run_order.FIRST, *(path for paths in run_order.TOGETHER.values() for path in paths)})


@pytest.mark.parametrize("start", NAMED)
def test_every_named_path_is_the_start_of_the_path_of_a_test_file(start: str) -> None:
    files = [path.as_posix() for path in repository_files() if path.name.startswith("test_")]
    assert any(file.startswith(start) for file in files), f"{ROOT / start} is gone"


def test_files_that_share_a_costly_fixture_run_in_one_process() -> None:
    replicas = {run_order.group_of(f"tests/replicas/{name}.py::test_a[1]") for name in ("test_one", "test_two")}
    assert replicas == {"replicas"}


def test_a_file_of_its_own_is_one_group() -> None:
    assert run_order.group_of("tests/bff/test_x.py::TestA::test_b[c]") == "tests/bff/test_x.py"


def test_cases_with_a_door_of_their_own_may_run_in_another_process() -> None:
    file = "tests/security/test_x.py"
    groups = [run_order.group_of(f"{file}::test_a[{case}]") for case in ("door-started-as-root-worker", "worker")]
    assert groups == [f"{file} door-started-as-root", file]


def test_the_longest_come_first_and_unnamed_files_last() -> None:
    files = ["tests/bff/test_x.py", "tests/replicas/test_x.py", "tests/applications/test_x.py"]
    assert sorted(files, key=run_order.rank) == list(reversed(files))
