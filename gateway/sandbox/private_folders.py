"""A private folder for each managed page and run: its home, with the caches of libraries, and its temporary files.

All of them are in one folder of the front door, the base, which `gateway.sandbox.bases` removes at the end. The
launcher runs `make` and `fill` before anything else, so this module imports the standard library alone.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

BASE_NAME = "vestibule-pages-"
HOME, TEMPORARY = "home", "tmp"
PASSABLE, OWN, SHARED_WITH_GROUP = 0o711, 0o700, 0o770


def choose_base() -> str:
    """Choose a path for this run that nobody can guess. Nothing is made yet."""
    return str(Path(_temporary_folder(), f"{BASE_NAME}{secrets.token_hex(8)}"))


def _temporary_folder() -> str:
    """Return the system's temporary folder, or another one if other users cannot enter it."""
    own = tempfile.gettempdir()
    places = (own, "/tmp", "/var/tmp")
    return next((place for place in places if _is_passable(Path(place))), own)


def _is_passable(place: Path) -> bool:
    try:
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in (place.resolve(), *place.resolve().parents))
    except OSError:
        return False


def make(folder: str, *, uid: int, gid: int) -> None:
    """Make `folder` and its parent as the front door's user, and let `uid` write into it.

    Raises:
        OSError: it cannot be made, or somebody else has made it.
    """
    base = os.path.dirname(folder)
    make_own(base, PASSABLE)
    make_own(folder, OWN, also=uid)
    if uid < 0 or os.lstat(folder).st_uid == uid:
        return
    try:
        os.chown(folder, uid, gid)
    except PermissionError:  # not root, but able to switch users: a process may give a group away when it belongs to it
        os.setgroups([gid])
        os.chown(folder, -1, gid)
        os.chmod(folder, SHARED_WITH_GROUP)


def make_own(folder: str, mode: int, *, also: int = -1) -> None:
    """Make `folder` with exactly this `mode`. If it exists already, it must be ours or belong to the user `also`.

    Raises:
        OSError: it cannot be made, or somebody else has made it.
    """
    with suppress(FileExistsError):
        os.mkdir(folder, mode)
        os.chmod(folder, mode)  # the umask may have removed bits
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), also):
        raise PermissionError(1, "belongs to somebody else", folder)


def fill(folder: str) -> None:
    """Make the home and the temporary folder, as the program's own user."""
    for name in (HOME, TEMPORARY):
        with suppress(FileExistsError):
            os.mkdir(os.path.join(folder, name), OWN)
