"""What this process may do to separate a page, and what the kernel offers for it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gateway.sandbox import landlock
from gateway.sandbox.privileges import IS_LINUX, SWITCHING, Capability, effective_capabilities, mask_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """The means to separate pages. `landlock` is the version of the kernel's interface, 0 for none."""

    uid: int
    may_switch: bool = False
    may_mount: bool = False
    landlock: int = 0
    holds_capabilities: bool = False


def look() -> Means:
    """Return the means that this process has now."""
    held = effective_capabilities()
    return Means(
        uid=os.geteuid(),
        may_switch=held & SWITCHING == SWITCHING,
        may_mount=IS_LINUX and os.geteuid() == 0 and bool(held & mask_of((Capability.SYS_ADMIN,))),
        landlock=landlock.kernel_version(),
        holds_capabilities=IS_LINUX and held != 0,
    )
