"""The files of this repository: those that git knows in a checkout, otherwise those in the folder."""

from __future__ import annotations

import os
import subprocess
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


@cache
def repository_files() -> tuple[Path, ...]:
    """Files that are committed or would be, relative to the top, in order."""
    listed = _files_known_to_git()
    return tuple(sorted(listed if listed is not None else files_that_lie_here()))


def text_files() -> tuple[tuple[Path, str], ...]:
    """The same with their content, without pictures and other binary files."""
    contents = ((path, (ROOT / path).read_bytes()) for path in repository_files())
    return tuple((path, raw.decode("utf-8")) for path, raw in contents if b"\x00" not in raw)


def _files_known_to_git() -> list[Path] | None:
    """None where there is no git or no checkout of it, as in an unpacked archive."""
    if not (ROOT / ".git").exists():
        return None
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if done.returncode:
        return None
    return [Path(name) for name in set(done.stdout.split("\0")) if name and (ROOT / name).is_file()]


def files_that_lie_here() -> list[Path]:
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.strip("/") for line in lines if line and not line.startswith("#")] + [".git"]
    found: list[Path] = []
    for folder, inner, names in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        inner[:] = [name for name in inner if not _is_ignored(here / name, ignored)]
        found += [here / name for name in names if not _is_ignored(here / name, ignored)]
    return found


def _is_ignored(path: Path, patterns: list[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern) for pattern in patterns)
