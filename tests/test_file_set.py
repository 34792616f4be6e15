"""Which files are at the top of the repository, and what no file may contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.repository import ROOT, files_that_lie_here, repository_files, text_files

TOP_LEVEL = {
    ".ci",
    ".editorconfig",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "bff",
    "deploy",
    "docs",
    "gateway",
    "pyproject.toml",
    "streamlit_kit",
    "tests",
}

# Written so that this file does not hold what it looks for.
FORBIDDEN = {
    "an absolute path of somebody's machine": re.compile(
        r"(?<![\w.*>})-])/(?:w[o]rk|r[o]ot|U[s]ers/\w+|h[o]me/[a-z_][\w-]*)/"
    ),
    "the host of a package index": re.compile(r"p[y]pi\.org|p[y]thonhosted\.org|registry\.n[p]mjs\.org"),
    "an option that names a package index": re.compile(r"--(?:extra-)?i[n]dex-url|--f[i]nd-links"),
    "a merge marker": re.compile(r"^(?:<{7} |>{7} |\|{7} )", re.MULTILINE),
}


def find_forbidden(text: str) -> list[tuple[str, int]]:
    """(what, line) of everything in `text` that no file may hold."""
    return [
        (what, text.count("\n", 0, match.start()) + 1)
        for what, pattern in FORBIDDEN.items()
        for match in pattern.finditer(text)
    ]


def test_the_top_level_has_exactly_the_expected_files() -> None:
    assert {path.parts[0] for path in repository_files()} == TOP_LEVEL


def test_no_file_contains_a_machine_path_a_package_index_or_a_merge_marker() -> None:
    faults = [f"{path}:{line} holds {what}" for path, text in text_files() for what, line in find_forbidden(text)]
    assert not faults, "\n".join(faults)


def test_the_script_of_continuous_integration_is_executable() -> None:
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_files_are_found_without_git_too() -> None:
    lying = set(files_that_lie_here())
    assert {Path("pyproject.toml"), Path("tests/conftest.py"), Path(".ci/run")} <= lying
    assert {path.parts[0] for path in lying} <= TOP_LEVEL


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("cd /ho" + "me/ada/vestibule", "an absolute path of somebody's machine"),
        ('open("/ro' + 'ot/.ssh/id")', "an absolute path of somebody's machine"),
        ("https://py" + "pi.org/simple", "the host of a package index"),
        ("pip install --in" + "dex-url x", "an option that names a package index"),
        ("<" * 7 + " HEAD", "a merge marker"),
    ],
)
def test_forbidden_text_is_detected(line: str, what: str) -> None:
    assert find_forbidden(f"first line\n{line}\n") == [(what, 2)]


@pytest.mark.parametrize("line", ["see docs/work/plan", "GET /home", "x = a <<<<<<< b", "~/home/", "$HOME/"])
def test_allowed_text_that_looks_like_forbidden_text_is_accepted(line: str) -> None:
    assert find_forbidden(line) == []
