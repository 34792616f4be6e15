"""The output of a child ends with the child, even while another process holds the pipe."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from gateway.processes.child_output import ChildOutput
from gateway.processes.children import Child, ChildSpec, minimal_environment

LEAVES_A_WRITER = """
import subprocess, sys
from pathlib import Path
code = "import time\\nwhile True: print('still here', flush=True); time.sleep(0.01)"
writer = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
Path(sys.argv[1]).write_text(str(writer.pid))
"""


def test_nothing_reads_the_output_of_a_child_after_its_end(tmp_path: Path) -> None:
    script, pid_file = tmp_path / "leaves.py", tmp_path / "pid"
    script.write_text(LEAVES_A_WRITER)
    left: set[str] = set()

    def note_tasks(_child: Child, _code: int) -> bool:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        left.update(str(task.get_coro()) for task in tasks if "_pass_on" in str(task.get_coro()))
        return False

    async def run() -> Child:
        tether, held = os.pipe()
        spec = ChildSpec(
            name="leaves",
            program=(str(script), str(pid_file)),
            environment=minimal_environment(os.environ),
            python=sys.executable,
        )
        output = ChildOutput("leaves", voice="quiet", json_lines=False, prefix=False)
        child = Child(spec, tether=tether, output=output, on_end=note_tasks)
        try:
            await child.keep_running()
        finally:
            os.close(held)
            os.close(tether)
        return child

    try:
        child = asyncio.run(run())
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
    assert "still here" in child.output.last  # the other process did hold the pipe
    assert left == set()
