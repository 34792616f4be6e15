"""Find out who may read or change a file with a secret. Symbolic links are followed to the real file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ENV_CREDENTIALS = "CREDENTIALS_DIRECTORY"
RUNTIME_FOLDERS = (Path("/run/secrets"), Path("/var/run/secrets"), Path("/run/credentials"))
"""Folders in which container runtimes and systemd put secrets for one program only, with modes of their own."""
PROJECTED = "..data"
"""The link with which Kubernetes replaces all files of a mounted secret at once."""
MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Exposure:
    """`who` may do `what` with the file at `path`. `folder` is the folder that allows it, None for the file itself."""

    path: Path
    who: Literal["everybody", "the group"]
    what: Literal["read", "change"]
    folder: Path | None = None

    @property
    def message(self) -> str:
        if self.folder is not None:
            return f"everybody on this machine may replace {self.path}, as they may write to the folder {self.folder}"
        who = "everybody on this machine" if self.who == "everybody" else "the group that it belongs to"
        return f"{who} may {'read' if self.what == 'read' else 'change'} {self.path}"

    @property
    def fix(self) -> str:
        if self.folder is not None:
            return "move the file to a folder that only its owner may write to"
        return f"chmod {'640' if self.who == 'the group' else '600'} {self.path}"


def find_exposure(path: Path, *, environ: Mapping[str, str]) -> Exposure | None:
    """Return the worst fault of the file at `path`. None for a file in a runtime's own folder, and for no file.

    The group may read the file: systemd, Docker and Kubernetes deliver secrets that way.

    Raises:
        OSError: a folder on the way to the file cannot be read.
    """
    folders, real = _follow(path)
    if not real.is_file() or _is_of_a_runtime(real, environ):
        return None
    mode = real.stat().st_mode
    if mode & stat.S_IWOTH:
        return Exposure(real, "everybody", "change")
    if (open_folder := next((one for one in folders if _lets_everybody_replace(one, real)), None)) is not None:
        return Exposure(real, "everybody", "change", open_folder)
    if mode & stat.S_IROTH:
        return Exposure(real, "everybody", "read")
    return Exposure(real, "the group", "change") if mode & stat.S_IWGRP else None


def _lets_everybody_replace(folder: Path, file: Path) -> bool:
    """True if `folder`, which is on the way to `file`, lets everybody replace what is in it.

    In a sticky folder such as /tmp, people may remove only their own entries, so our folders in it are safe. A secret
    directly in it is not safe: somebody faster may have made that file.
    """
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH) and (not mode & stat.S_ISVTX or folder == file.parent)


def _follow(path: Path) -> tuple[list[Path], Path]:
    """Return every folder on the way to `path`, also those of links, and the real file at the end."""
    steps = list(_steps(path))
    folders = list(dict.fromkeys(folder for folder, _ in steps))
    return folders, steps[-1][1] if steps else path


def _steps(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield (folder, entry) from the root to the file, one link after the other."""
    here, links = Path("/"), 0
    ahead = [*path.absolute().parts[1:]]
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            here = here.parent
            continue
        found = here / part
        yield here, found
        if not found.is_symlink():
            here = found
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(found))
        if target.is_absolute():
            here = Path("/")
        ahead = [*(part for part in target.parts if part != "/"), *ahead]


def _is_of_a_runtime(real: Path, environ: Mapping[str, str]) -> bool:
    folders = [*RUNTIME_FOLDERS]
    if environ.get(ENV_CREDENTIALS):
        folders.append(Path(environ[ENV_CREDENTIALS]))
    return any(real.is_relative_to(folder.resolve()) for folder in folders) or _is_projected(real)


def _is_projected(real: Path) -> bool:
    """True below a mount of Kubernetes: its link `..data` leads to the folder of this file and is on its own mount.

    Such a mount always has the mode 1777, and its files the mode 644.
    """
    for folder in real.parents:
        link = folder.parent / PROJECTED
        if folder.name.startswith("..") and link.is_symlink() and link.resolve() == folder:
            return os.path.ismount(folder.parent)
    return False
