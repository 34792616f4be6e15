"""Find how another user can reach what a page needs: by the modes of files, or around closed folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gateway.sandbox import accounts
from gateway.sandbox.accounts import Account
from gateway.sandbox.reach import Allowed


class Impossible(Exception):
    """This way to separate a page does not work here. The message says why."""


def find_ways(
    allowed: Iterable[Allowed], account: Account, *, may_mount: bool
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the folders that are closed to `account`, and the needed paths below them, by given name and real name.

    Raises:
        Impossible: a needed path is closed itself, or nothing can be done about the closed folders around it.
    """
    closed: set[str] = set()
    binds: dict[str, str] = {}
    for one in allowed:
        real = Path(os.path.realpath(one.path))
        if not real.exists():
            continue
        wish = accounts.READ | (accounts.SEARCH if real.is_dir() else 0) | (accounts.WRITE if one.writing else 0)
        if not accounts.may(account, real, wish):
            do = "change" if one.writing else "read"
            raise Impossible(f"{account}, as which the page would run, may not {do} {real} ({one.why}); let it")
        for name in {real, Path(os.path.abspath(one.path))}:
            around = [str(folder) for folder in accounts.closed_folders(name, account)]
            if around and not may_mount:
                raise Impossible(
                    f"{account}, as which the page would run, cannot get to {name} ({one.why}): {around[-1]} is closed "
                    f"to it; move it elsewhere, or open the way with chmod o+x {around[-1]}"
                )
            if around:
                closed.update(around)
                binds[str(name)] = str(real)
    return tuple(sorted(closed)), tuple((source, target) for target, source in sorted(binds.items()))
