"""Run a Python program that ends when the process that started it is gone, for any reason.

    python tether.py <descriptor> -m module [argument …]
    python tether.py <descriptor> script.py [argument …]

`descriptor` is the reading end of a pipe. Only the starter has the writing end, so end of file means that the starter
is dead; a starter killed with -9 closes its pipe like any other. The program must lead its own process group, so that
its children end with it: the group gets SIGTERM, and SIGKILL three seconds later. The file is run by path, with any
Python, so it imports the standard library alone.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 3.0
REAPER = """
import os, sys, time
group, seconds = int(sys.argv[1]), float(sys.argv[2])
end = time.monotonic() + seconds
try:
    while time.monotonic() < end:
        time.sleep(0.05)
        os.killpg(group, 0)
    os.killpg(group, 9)
except OSError:
    pass
"""
"""A process that stays alive after the group's leader, for one task: to end the rest of the group."""


def watch(descriptor: int) -> None:
    """Wait for end of file on `descriptor`, then end this process group."""
    while os.read(descriptor, 1024):
        continue
    group = os.getpgid(0)
    subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", REAPER, str(group), str(GRACE_SECONDS)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.killpg(group, signal.SIGTERM)


def main(arguments: list[str]) -> None:
    """Start the watch, then run the program that `arguments` name."""
    if len(arguments) < 2 or not arguments[0].isdigit() or arguments[1:] == ["-m"]:
        sys.exit("usage: tether.py DESCRIPTOR (-m MODULE | SCRIPT) [ARGUMENT …]")
    descriptor, program = int(arguments[0]), arguments[1:]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=watch, args=(descriptor,), name="tether", daemon=True).start()
    is_module = program[0] == "-m"
    if not sys.flags.safe_path:
        # The folder of this file is first on the path, and its names would hide others. Replace it with Python's
        # choice.
        sys.path[0] = os.getcwd() if is_module else os.path.dirname(os.path.abspath(program[0]))
    if is_module:
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
