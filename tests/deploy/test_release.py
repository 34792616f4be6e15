"""`make release`: version, changelog and tag belong together, and a refused release changes nothing."""

from __future__ import annotations

import runpy
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.repository import ROOT

SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "deploy" / "release.py"))
Refused: type[Exception] = SCRIPT["ReleaseRefused"]
DAY = date(2027, 1, 2)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A door.\n"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.com")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Start")
    return tmp_path


def test_a_release_sets_version_changelog_and_tag(checkout: Path) -> None:
    SCRIPT["release"]("0.2.0", root=checkout, day=DAY)
    assert 'version = "0.2.0"' in (checkout / "pyproject.toml").read_text()
    changelog = (checkout / "CHANGELOG.md").read_text()
    assert (
        changelog.index("## [Unreleased]") < changelog.index("## [0.2.0] - 2027-01-02") < changelog.index("- A door.")
    )
    assert git(checkout, "tag", "--list") == "v0.2.0"
    assert git(checkout, "status", "--porcelain") == ""


@pytest.mark.parametrize("version", ["0.1.0", "v0.2.0", "next", ""])
def test_a_wrong_version_is_refused_and_changes_nothing(checkout: Path, version: str) -> None:
    with pytest.raises(Refused):
        SCRIPT["release"](version, root=checkout, day=DAY)
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag", "--list") == ""


def test_an_empty_changelog_section_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-01-01\n\n- A door.\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "Nothing new")
    with pytest.raises(Refused, match="nothing under"):
        SCRIPT["release"]("0.2.0", root=checkout, day=DAY)


def test_a_checkout_with_changes_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(CHANGELOG + "- A window.\n")
    with pytest.raises(Refused, match="commit"):
        SCRIPT["release"]("0.2.0", root=checkout, day=DAY)


def test_the_version_of_this_repository_can_be_released() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert 'version = "98.7.6"' in SCRIPT["with_version"](pyproject, "98.7.6")
    assert "## [98.7.6]" in SCRIPT["with_release"](changelog, "98.7.6", day=DAY)
