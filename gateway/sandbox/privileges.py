"""Change what a process may do, by direct calls to the kernel: inspection, capabilities, switching users.

The launcher runs this before anything else, so it imports the standard library alone. Systems other than Linux have no
capabilities, and the functions do what is possible there; their docstrings say so where it matters.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

IS_LINUX = sys.platform == "linux"
PR_SET_DUMPABLE = 4
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION = 0x20080522
MOST_CAPABILITIES = 64
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "s390x": 280}
"""Number of the call on each kind of machine, for programs of 64 bits."""
KEYCTL_JOIN_SESSION_KEYRING = 1


class Capability(IntEnum):
    """The capabilities that this program uses."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    NET_BIND_SERVICE = 10
    SYS_ADMIN = 21


def mask_of(capabilities: Iterable[Capability]) -> int:
    return sum(1 << capability for capability in set(capabilities))


SWITCHING = mask_of((Capability.SETUID, Capability.SETGID, Capability.KILL))
"""To start a program as another user, and to end it later."""
FOR_WORKERS = mask_of(
    (
        Capability.CHOWN,
        Capability.DAC_OVERRIDE,
        Capability.DAC_READ_SEARCH,
        Capability.FOWNER,
        Capability.NET_BIND_SERVICE,
    )
)
"""What a worker keeps if the front door runs as root: files and ports. It may neither switch users nor signal
others."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, doing: str) -> int:
    """Return `result`, unless it says that the call failed.

    Raises:
        OSError: the call failed; it holds the reason.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result


def _prctl(option: int, first: int, second: int = 0, *, doing: str) -> int:
    zero = ctypes.c_ulong(0)
    result = _libc().prctl(ctypes.c_int(option), ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero)
    return _checked(result, doing)


def refuse_inspection() -> None:
    """Keep other programs of this user from reading our memory, environment and open files, and write no core file.

    The kernel forgets this protection at each `exec`, so every process of the front door calls this before it reads a
    secret.

    Raises:
        OSError: the system does not do it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if IS_LINUX:
        _prctl(PR_SET_DUMPABLE, 0, doing="refusing inspection")


def effective_capabilities() -> int:
    """Return the mask of what this process may do now. On systems other than Linux, root has all and others none."""
    if not IS_LINUX:
        return (1 << MOST_CAPABILITIES) - 1 if os.geteuid() == 0 else 0
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def drop_bounding_set(kept: int) -> None:
    """Keep every `exec`, even root's, from giving a capability outside of the mask `kept`.

    Without the capability to do so, the set stays as it is: then `forbid_new_privileges` must do its work.

    Raises:
        OSError: the system does not do it.
    """
    if not IS_LINUX or not effective_capabilities() & mask_of((Capability.SETPCAP,)):
        return
    for number in range(MOST_CAPABILITIES):
        if not kept >> number & 1 and _is_bounding(number):
            _prctl(PR_CAPBSET_DROP, number, doing=f"dropping capability {number}")


def keep_capabilities(kept: int) -> None:
    """Give up all capabilities outside of the mask `kept`: effective, permitted, inheritable and ambient ones.

    Raises:
        OSError: the system does not do it.
    """
    if not IS_LINUX:
        return
    left = effective_capabilities() & kept
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, doing="clearing ambient capabilities")
    header, sets = _Header(CAPABILITY_VERSION, 0), (_Sets * 2)()
    for half in range(2):
        sets[half].effective = sets[half].permitted = left >> (32 * half) & 0xFFFFFFFF
    _checked(_libc().capset(ctypes.byref(header), ctypes.byref(sets)), "giving up capabilities")


def _is_bounding(number: int) -> bool:
    return int(_libc().prctl(PR_CAPBSET_READ, ctypes.c_ulong(number), 0, 0, 0)) == 1


def switch_user(uid: int, gid: int) -> None:
    """Become `uid` and `gid` permanently, without further groups.

    Raises:
        OSError: the system does not do it.
    """
    os.setgroups([])
    os.setregid(gid, gid)
    os.setreuid(uid, uid)
    if (os.getuid(), os.geteuid(), os.getgid(), os.getegid()) != (uid, uid, gid, gid):
        raise OSError(0, f"still user {os.geteuid()} after switching to {uid}")


def leave_keyring() -> None:
    """Take an empty session keyring in place of the inherited one, whose keys could be read.

    It passes from program to program, to another user too. Where the kernel has no keyrings, or refuses the call to
    us, the program that follows cannot use them either.
    """
    number = KEYCTL.get(os.uname().machine)
    if IS_LINUX and number is not None and sys.maxsize > 2**32:
        _libc().syscall(ctypes.c_long(number), ctypes.c_int(KEYCTL_JOIN_SESSION_KEYRING), None)


def forbid_new_privileges() -> None:
    """Keep all programs that are started from now on from gaining privileges, for example with set-user-ID files.

    Raises:
        OSError: the system does not do it.
    """
    if IS_LINUX:
        _prctl(PR_SET_NO_NEW_PRIVS, 1, doing="forbidding new privileges")
