"""Open a place by a path without links in it, so that what was checked is what is opened.

Run by the launcher before anything else, so this module imports only the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

OPENAT2 = 437
"""The same number on every architecture that Python runs on. Linux 5.6, older than Landlock."""
AT_FDCWD = -100
RESOLVE_NO_SYMLINKS = 4


def open_straight(path: str) -> int:
    """A descriptor that names `path`, for rules and mounts.

    Raises:
        OSError: it is not there, or a part of it is a link.
    """
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    name, size = ctypes.c_char_p(os.fsencode(path)), ctypes.c_size_t(len(how))
    descriptor = int(libc.syscall(ctypes.c_long(OPENAT2), ctypes.c_int(AT_FDCWD), name, how, size))
    if descriptor >= 0:
        return descriptor
    number = ctypes.get_errno()
    if number == errno.ENOSYS:
        return _open_and_compare(path)
    raise OSError(number, "a link is in the way" if number == errno.ELOOP else os.strerror(number), path)


def _open_and_compare(path: str) -> int:
    """The same where the kernel does not know the call: the descriptor's own path says whether there was a link."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if os.readlink(f"/proc/self/fd/{descriptor}") != path:
        os.close(descriptor)
        raise OSError(errno.ELOOP, "a link is in the way", path)
    return descriptor
