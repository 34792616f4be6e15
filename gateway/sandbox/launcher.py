"""Carry out a plan, then become the program, with one thread and without anything that the front door holds.

    python -I -S launcher.py PLAN DESCRIPTORS program [argument …]

PLAN is JSON. DESCRIPTORS, such as `5,7`, stay open beside standard input, output and error. The launcher runs before
the tether: capabilities and Landlock belong to a thread, so the tether's thread would keep what is given up here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

CANNOT_SEPARATE = 126
MOST_DESCRIPTORS = 1 << 20


def main(arguments: list[str]) -> None:
    if len(arguments) < 3:
        sys.exit("usage: launcher.py PLAN DESCRIPTORS PROGRAM [ARGUMENT …]")
    # Last on the path, and with full names, so that nothing in the standard library is shadowed.
    sys.path.append(str(Path(__file__).parent.parent.parent))
    from gateway.sandbox.confinement import carry_out
    from gateway.sandbox.plan import Plan

    plan, kept, *program = arguments
    try:
        close_others(int(number) for number in kept.split(",") if number)
        carry_out(Plan.from_json(plan))
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignored it; the program decides for itself
            signal.signal(ignored, signal.SIG_DFL)
        os.execv(program[0], program)
    except OSError as exc:
        what = exc.filename or program[0]
        print(f"cannot be started in its sandbox: {exc.strerror}: {what}", file=sys.stderr, flush=True)
        os._exit(CANNOT_SEPARATE)


def close_others(kept: Iterable[int]) -> None:
    """Close every descriptor but the standard three and `kept`."""
    first = 3
    for descriptor in sorted(kept):
        os.set_inheritable(descriptor, True)
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, MOST_DESCRIPTORS)


if __name__ == "__main__":
    main(sys.argv[1:])
