"""Reserve user numbers for this front door: two that start at the same moment must not choose the same one.

A number is reserved by a name among the kernel's abstract sockets. The kernel gives each name once, to any user, and
frees it when the process ends, however it ends.
"""

from __future__ import annotations

import socket
import sys

NAME = "\0vestibule-page-{}"
_reserved: set[int] = set()
"""Numbers of this process. Their sockets stay open until it ends."""


def reserve(uid: int) -> bool:
    """Reserve `uid` until this process ends; False if somebody else has it, or if there are no abstract sockets."""
    if uid in _reserved:
        return True
    if sys.platform != "linux":
        return False
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(NAME.format(uid))
    except OSError:
        holder.close()
        return False
    holder.detach()
    _reserved.add(uid)
    return True


def is_reserved(uid: int) -> bool:
    """True if this process has reserved `uid`, so that programs of that user are programs of its page."""
    return uid in _reserved
