"""End what is left of a page that runs as a user of its own: programs that it moved out of its process group.

Such a program would keep the page's rights after the page was started again, or after the front door has ended. It
could also take a port that another program had.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

from gateway.sandbox import accounts, reservations
from gateway.sandbox.plan import Plan, launch_command

END_ALL = "import os; os.kill(-1, 9)"
"""Run as the page's user: the kernel ends all programs of that user but this one, in one step."""
MOST_ROUNDS = 5
SECONDS = 10


async def end_all_of(plan: Plan | None, *, python: str) -> None:
    """End every program of the page's user, if that number was chosen only for this page.

    A user named in the configuration may have other programs, and so may the front door's own user: those are left
    alone. `python` is the page's, which that user can reach.
    """
    if plan is None or not plan.switches or not reservations.is_reserved(plan.uid):
        return
    as_page = replace(plan, private="", folder="", landlock=0, rules=())
    command = launch_command(as_page, (python, "-I", "-S", "-c", END_ALL), python=sys.executable, descriptors=())
    for _ in range(MOST_ROUNDS):
        if plan.uid not in accounts.taken_by_processes():
            return
        with suppress(OSError, TimeoutError):
            process = await asyncio.create_subprocess_exec(*command, env={}, stdin=asyncio.subprocess.DEVNULL)
            await asyncio.wait_for(process.wait(), SECONDS)
