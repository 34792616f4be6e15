"""Make a release: `python deploy/release.py 0.2.0` sets the version, closes the changelog's section and sets a tag.

Run by `make release VERSION=0.2.0`, after the checks and tests. Nothing is pushed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
UNRELEASED = "## [Unreleased]\n"
_VERSION_LINE = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


class ReleaseRefused(Exception):
    """The release cannot be made; the message says what to do."""


def with_version(pyproject: str, version: str) -> str:
    """Set the version of a pyproject.toml.

    Raises:
        ReleaseRefused: `version` does not have the form 1.2.3, or is the present one.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseRefused(f"{version!r} is not a version; write it as 1.2.3")
    found = _VERSION_LINE.search(pyproject)
    if found is None:
        raise ReleaseRefused("pyproject.toml has no version line")
    if found[1] == version:
        raise ReleaseRefused(f"pyproject.toml already has version {version}")
    return _VERSION_LINE.sub(f'version = "{version}"', pyproject, count=1)


def with_release(changelog: str, version: str, *, day: date) -> str:
    """Give the unreleased section of a changelog the version and the day, and add an empty section above it.

    Raises:
        ReleaseRefused: there is no unreleased section, or nothing in it.
    """
    before, heading, after = changelog.partition(UNRELEASED)
    if not heading:
        raise ReleaseRefused("CHANGELOG.md has no section [Unreleased]")
    if not re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0].strip():
        raise ReleaseRefused("CHANGELOG.md has nothing under [Unreleased]")
    return f"{before}{UNRELEASED}\n## [{version}] - {day.isoformat()}\n{after}"


def release(version: str, *, root: Path = ROOT, day: date) -> None:
    """Write both files, commit them and set the tag `v<version>`.

    Raises:
        ReleaseRefused: the version or the changelog cannot be used, or there are changes that are not committed.
    """
    if _git(root, "status", "--porcelain"):
        raise ReleaseRefused("commit your changes first")
    pyproject, changelog = root / "pyproject.toml", root / "CHANGELOG.md"
    new_pyproject = with_version(pyproject.read_text(encoding="utf-8"), version)
    new_changelog = with_release(changelog.read_text(encoding="utf-8"), version, day=day)
    pyproject.write_text(new_pyproject, encoding="utf-8")
    changelog.write_text(new_changelog, encoding="utf-8")
    _git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"Vestibule {version}")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """Make the release with the version in `arguments`. The exit code is 2 if it is refused."""
    if len(arguments) != 1:
        print("usage: make release VERSION=1.2.3", file=sys.stderr)
        return 2
    try:
        release(arguments[0], day=datetime.now(UTC).date())
    except ReleaseRefused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    print(f"Version {arguments[0]} is committed and tagged. Push it with: git push --follow-tags")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
