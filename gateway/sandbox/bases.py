"""The folder that contains the private folders. The front door locks it while it runs, and removes it at its end.

If a front door was killed, the next one of the same user removes the folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.sandbox.plan import Plan, launch_command
from gateway.sandbox.private_folders import BASE_NAME, PASSABLE, make_own

REMOVE = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"
REMOVE_SECONDS = 30


@contextmanager
def held(base: str) -> Iterator[None]:
    """Hold `base` while the front door runs.

    Raises:
        OSError: it cannot be made.
    """
    _remove_left_over(Path(base).parent)
    make_own(base, PASSABLE)
    lock = _lock(Path(base))
    try:
        yield
    finally:
        _remove(Path(base))
        os.close(lock)


def _lock(base: Path) -> int:
    """Return a descriptor that keeps others from removing `base`.

    Raises:
        OSError: another front door holds it.
    """
    descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_left_over(parent: Path) -> None:
    for found in parent.glob(f"{BASE_NAME}*"):
        with suppress(OSError):
            status = found.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                lock = _lock(found)
                _remove(found)
                os.close(lock)


def _remove(base: Path) -> None:
    """Remove a folder. What only a page's user may remove is removed as that user, if this process may switch users."""
    shutil.rmtree(base, ignore_errors=True)
    if not base.exists():
        return
    for folder in base.glob("*/*"):
        status = folder.lstat()
        if status.st_uid != os.geteuid():
            plan = Plan(uid=status.st_uid, gid=status.st_gid)
            program = (sys.executable, "-I", "-S", "-c", REMOVE, str(folder))
            command = launch_command(plan, program, python=sys.executable, descriptors=())
            with suppress(OSError, subprocess.SubprocessError):  # the next start tries again
                subprocess.run(command, env={}, timeout=REMOVE_SECONDS, capture_output=True, check=False)
    shutil.rmtree(base, ignore_errors=True)
