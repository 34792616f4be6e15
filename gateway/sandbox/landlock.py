"""Landlock: a list in the kernel of what a process and its children may reach. It is set by system call, without a
library.

`handled_rights` and `rights_of` are pure. The rest calls the kernel. Linux 5.13 has version 1 of the interface. Later
versions have more rights, and a call must not name a right that the version does not have.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from enum import IntFlag

from gateway.sandbox.straight_paths import open_straight

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture that Python runs on."""
ASK_VERSION = 1
PATH_BENEATH = 1
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2


class Right(IntFlag):
    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


FIRST_VERSION = Right(Right.REFER - 1)
SINCE = {Right.REFER: 2, Right.TRUNCATE: 3, Right.IOCTL_DEV: 5}
SCOPES_SINCE = 6
OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV
"""Rights that a rule may name for a path that is not a folder."""
READ = Right.EXECUTE | Right.READ_FILE | Right.READ_DIR
WRITE = (
    READ
    | Right.WRITE_FILE
    | Right.TRUNCATE
    | Right.REMOVE_DIR
    | Right.REMOVE_FILE
    | Right.MAKE_DIR
    | Right.MAKE_REG
    | Right.MAKE_SOCK
    | Right.MAKE_FIFO
    | Right.MAKE_SYM
    | Right.REFER
)
DEVICE = Right.READ_FILE | Right.READ_DIR | Right.WRITE_FILE | Right.TRUNCATE | Right.IOCTL_DEV
GRANTS = {"read": READ, "write": WRITE, "device": DEVICE, "list": Right.READ_DIR}
"""The rights that each kind of rule in a plan grants."""


def handled_rights(version: int) -> Right:
    """Return all rights that `version` has: what no rule grants is refused."""
    return FIRST_VERSION | Right(sum(right for right, since in SINCE.items() if version >= since))


def rights_of(kind: str, *, version: int, is_folder: bool) -> Right:
    """Return the rights of a rule of `kind` that `version` has and that make sense for the path."""
    granted = GRANTS[kind] & handled_rights(version)
    return granted if is_folder else granted & OF_FILES


def scopes(version: int) -> int:
    """Return the scopes with which `version` keeps abstract sockets and outside processes out of reach."""
    return SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if version >= SCOPES_SINCE else 0


def kernel_version() -> int:
    """Return the version of the interface; 0 if there is none, or it may not be used."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(ASK_VERSION))
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[str, str]], *, version: int) -> None:
    """Let this process reach only what `rules` name, which are pairs of path and kind. A path that is not there, or
    that this process cannot find, grants nothing. A path with a link in it is refused.

    Raises:
        OSError: the kernel refused, and the process is not restricted.
    """
    attributes = struct.pack("=QQQ", handled_rights(version), 0, scopes(version))
    ruleset = _call(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for path, kind in rules:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow(ruleset, path, kind, version=version)
        _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, kind: str, *, version: int) -> None:
    place = open_straight(path)
    try:
        is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        rights = rights_of(kind, version=version, is_folder=is_folder)
        if rights:
            rule = struct.pack("=Qi", rights, place)
            _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = int(libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result
