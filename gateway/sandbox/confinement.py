"""Carry out a plan on the process itself.

The launcher runs this before anything else, so it imports the standard library alone.
"""

from __future__ import annotations

import os

from gateway.sandbox import landlock, mounts, private_folders, privileges
from gateway.sandbox.plan import Plan


def carry_out(plan: Plan) -> None:
    """Carry out the steps of `plan`. Their order matters: each step takes away what the steps before it need.

    Raises:
        OSError: a step failed, so the program must not be started.
    """
    if plan.closed:
        mounts.open_ways(plan.closed, plan.binds)
    if plan.private:
        private_folders.make(plan.private, uid=plan.uid, gid=plan.gid)
    privileges.drop_bounding_set(plan.capabilities)
    if plan.switches:
        privileges.switch_user(plan.uid, plan.gid)
    if plan.landlock or plan.switches:
        privileges.leave_keyring()
    privileges.keep_capabilities(plan.capabilities)
    if not plan.new_privileges:
        privileges.forbid_new_privileges()
    if plan.private:
        private_folders.fill(plan.private)
    if plan.folder:
        os.chdir(plan.folder)
    if plan.landlock:
        landlock.restrict(plan.rules, version=plan.landlock)
