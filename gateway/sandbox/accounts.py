"""The user that a managed page runs as, and what the modes of files let that user reach."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.reservations import reserve

FIRST, LAST = 60_706, 61_183
"""User numbers that systemd leaves free, below those of its services and containers. Each page gets one."""
NAMELESS = "vestibule-page"
SEARCH, READ, WRITE = 1, 4, 2


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its primary group. `name` is for people; a user that we chose has no name in the system."""

    uid: int
    gid: int
    name: str = NAMELESS

    def __str__(self) -> str:
        return f"user {self.uid}" if self.name == NAMELESS else f"user {self.name} ({self.uid})"


def find_account(text: str) -> Account | None:
    """Find the account with the name or number `text`; None if there is none. A number need not be a known user."""
    try:
        if text.isdecimal():
            try:
                entry = pwd.getpwuid(int(text))
            except KeyError:
                return Account(int(text), int(text))
        else:
            entry = pwd.getpwnam(text)
    except (KeyError, OverflowError):
        return None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def free_account(*, taken: Collection[int]) -> Account | None:
    """Find an unused user for one page; None if none is left, or this system does not have such numbers.

    It is reserved for this process where that is possible.
    """
    avoided, not_reserved = {*taken, *taken_by_processes()}, None
    for uid in range(FIRST, LAST + 1):
        if uid in avoided or _is_somebody(uid) or not is_mapped(uid):
            continue
        if reserve(uid):
            return Account(uid, uid)
        not_reserved = not_reserved or Account(uid, uid)
    return not_reserved


def _is_somebody(uid: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(uid)
        except KeyError:
            continue
        return True
    return False


def taken_by_processes() -> set[int]:
    """Return the users of running programs: another front door on this machine may have chosen some."""
    found: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            found.add(entry.stat().st_uid)
        except OSError:
            continue
    return found


def is_mapped(uid: int) -> bool:
    """False in a container that has only a few users, if this is not one of them."""
    try:
        lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    ranges = [[int(number) for number in line.split()] for line in lines]
    return any(first <= uid < first + count for first, _, count in ranges)


def closed_folders(path: Path, account: Account) -> Iterator[Path]:
    """Return the folders on the way to `path` that `account` cannot enter."""
    return (folder for folder in path.parents if not may(account, folder, SEARCH))


def may(account: Account, path: Path, wish: int) -> bool:
    """True if the mode allows it. A path with an access list counts as open: the trial run finds out."""
    try:
        found = path.stat()
        if hasattr(os, "getxattr") and "system.posix_acl_access" in os.listxattr(path):
            return True
    except OSError:
        return not path.exists()
    if account.uid == found.st_uid:
        shift = 6
    elif account.gid == found.st_gid:
        shift = 3
    else:
        shift = 0
    return stat.S_IMODE(found.st_mode) >> shift & wish == wish
