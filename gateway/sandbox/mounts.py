"""A view of the file system for one program. Empty folders with only what it needs replace folders it cannot enter.

No other user can reach a Python below /root. But root may replace /root with an empty folder, for one program only, and
show in it, under their old names, the few folders that the program needs.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Sequence

from gateway.sandbox.straight_paths import open_straight

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 4096, 16384, 1 << 19
PASSABLE = 0o755


def open_ways(closed: Sequence[str], binds: Sequence[tuple[str, str]]) -> None:
    """Cover each folder in `closed`, and show each source of `binds` at its target, for this process and its children.

    Raises:
        OSError: the system refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(CLONE_NEWNS)) < 0:
        raise _fault("a view of its own")
    _mount(libc, "", "/", kind="", flags=MS_REC | MS_SLAVE)  # our changes stay here; mounts of others still appear
    sources = {source: open_straight(source) for source, _ in binds}
    try:
        steps = sorted([(path, "") for path in closed] + [(target, source) for source, target in binds], key=_depth)
        for path, source in steps:
            if not source:
                if os.path.isdir(path):  # unless it was covered with a folder around it
                    _mount(libc, "tmpfs", path, kind="tmpfs", flags=MS_NOSUID | MS_NODEV, options="mode=755,size=1m")
            elif not os.path.lexists(path):
                _make_place(path, like=sources[source])
                _mount(libc, f"/proc/self/fd/{sources[source]}", path, kind="", flags=MS_BIND | MS_REC)
    finally:
        for descriptor in sources.values():
            os.close(descriptor)


def _depth(step: tuple[str, str]) -> tuple[int, bool]:
    path, source = step
    return path.count("/"), bool(source)


def _make_place(path: str, *, like: int) -> None:
    parent = os.path.dirname(path)
    os.makedirs(parent, mode=PASSABLE, exist_ok=True)
    if stat.S_ISDIR(os.fstat(like).st_mode):
        os.mkdir(path, PASSABLE)
    else:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _mount(libc: ctypes.CDLL, source: str, target: str, *, kind: str, flags: int, options: str = "") -> None:
    given = [text.encode() if text else None for text in (source, target, kind)]
    if libc.mount(*given, ctypes.c_ulong(flags), options.encode() if options else None) < 0:
        raise _fault(f"mounting {target}")


def _fault(doing: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{doing}: {os.strerror(number)}")
