"""Ends what is left of a page that runs as a user of its own: programs that it moved out of its process group.

Such a program would go on with the page's rights after the page was started again or the front door has ended, and
could take ports that others had.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from gateway.sandbox import accounts
from gateway.sandbox.plan import Plan, launch_command

END_ALL = "import os; os.kill(-1, 9)"
"""As the page's user: every program of that user but itself, none escapes by starting another meanwhile."""
MOST_ROUNDS = 5
SECONDS = 10


async def end_all_of(plan: Plan | None) -> None:
    """End every program of the page's user, if that number was chosen for this page alone.

    A user that has a name may have other programs, and so has our own: those are left to whoever started us.
    """
    if plan is None or not accounts.FIRST <= plan.uid <= accounts.LAST:
        return
    for _ in range(MOST_ROUNDS):
        if plan.uid not in accounts.taken_by_processes():
            return
        program = (sys.executable, "-I", "-S", "-c", END_ALL)
        command = launch_command(Plan(uid=plan.uid, gid=plan.gid), program, python=sys.executable, descriptors=())
        with suppress(OSError, TimeoutError):
            process = await asyncio.create_subprocess_exec(*command, env={}, stdin=asyncio.subprocess.DEVNULL)
            await asyncio.wait_for(process.wait(), SECONDS)
