"""A trial run: start a page's Python as the page will start, and see if it reaches what it needs and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gateway.sandbox.accounts import Account
from gateway.sandbox.plan import Plan, launch_command
from gateway.sandbox.reach import Allowed, Secret
from gateway.sandbox.ways import Impossible

LOOK_AROUND = str(Path(__file__).with_name("look_around.py"))
TRIAL_SECONDS = 30


def try_out(
    plan: Plan,
    python: str,
    allowed: Sequence[Allowed],
    *,
    script: Path,
    secrets: Sequence[Secret],
    account: Account | None,
) -> None:
    """Start the page's Python as the page will start, and let it report what it can reach.

    Raises:
        Impossible: it cannot be started, cannot reach what it needs, or can reach a secret.
    """
    who = str(account) if account else "its user"
    asked = {
        "read": [str(one.path) for one in allowed if one.path.exists() and not one.writing] + [str(script)],
        "write": [str(one.path) for one in allowed if one.writing],
        "secret": [str(secret.path) for secret in secrets if not secret.may_be_read],
    }
    trial = replace(plan, private="", rules=tuple(rule for rule in plan.rules if rule[0] != plan.private))
    command = launch_command(trial, (python, "-I", "-S", LOOK_AROUND), python=sys.executable, descriptors=())
    try:
        done = subprocess.run(
            command, input=json.dumps(asked), capture_output=True, text=True, timeout=TRIAL_SECONDS, env={}, check=True
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        said = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
        raise Impossible(
            f"its Python {python} does not start there: {said[-1] if said else exc}; name another in streamlit.python"
        ) from None
    for path in found["open"]:
        raise Impossible(f"the page could still read {path}, a secret of the front door; chmod 600 {path}")
    for path in found["closed"]:
        raise Impossible(f"{who}, as which the page would run, may not read {path}; let it")
    for path in found["fixed"]:
        raise Impossible(f"{who}, as which the page would run, may not change {path} (streamlit.write); let it")
