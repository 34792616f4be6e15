"""A folder for each managed page and run: its home, with the caches of libraries, and its temporary files.

All of them lie in one folder of the front door, the base, which `gateway.sandbox.bases` removes at the end. `make` and
`fill` are run by the launcher before anything else, so nothing but the standard library here.
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
    """A path for this run, which nobody can guess; nothing is made yet."""
    return str(Path(_temporary_folder(), f"{BASE_NAME}{secrets.token_hex(8)}"))


def _temporary_folder() -> str:
    """The system's, unless only this user gets there."""
    own = tempfile.gettempdir()
    places = (own, "/tmp", "/var/tmp")
    return next((place for place in places if _is_passable(Path(place))), own)


def _is_passable(place: Path) -> bool:
    try:
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in (place.resolve(), *place.resolve().parents))
    except OSError:
        return False


def make(folder: str, *, uid: int, gid: int) -> None:
    """Make `folder`, and the one around it, as the front door's user; let `uid` write into it.

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
    except PermissionError:  # not root, only able to switch: the group may be given away once one belongs to it
        os.setgroups([gid])
        os.chown(folder, -1, gid)
        os.chmod(folder, SHARED_WITH_GROUP)


def make_own(folder: str, mode: int, *, also: int = -1) -> None:
    """Make `folder` with this very `mode`; one that is there already has to be ours, or that of the user `also`.

    Raises:
        OSError: it cannot be made, or somebody else has made it.
    """
    with suppress(FileExistsError):
        os.mkdir(folder, mode)
        os.chmod(folder, mode)  # whatever the umask took away
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), also):
        raise PermissionError(1, "belongs to somebody else", folder)


def fill(folder: str) -> None:
    """Make home and temporary folder, as the program's own user."""
    for name in (HOME, TEMPORARY):
        with suppress(FileExistsError):
            os.mkdir(os.path.join(folder, name), OWN)
