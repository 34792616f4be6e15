"""The section of docs/operate.md on the provider for trying things out: its lines work, one after the other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes import CookieClient
from tests.markdown import blocks_of
from tests.ports import free_port
from tests.repository import ROOT

HEADING = "## Try the commands without a provider\n"


def lines_of_the_section() -> str:
    """Every shell block of the section, in order; the last one ends with `vestibule run`."""
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    section = page.partition(HEADING)[2].partition("\n## ")[0]
    return "\n".join(block.text for block in blocks_of(section) if block.language == "sh")


@contextmanager
def following(script: str, folder: Path, *, management: int) -> Iterator[Path]:
    """Run the lines in an empty folder until the block ends; gives the file with their output."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VESTIBULE_")} | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "VESTIBULE_SERVER__MANAGEMENT_BIND": f"127.0.0.1:{management}",
    }
    output = folder.parent / "output.txt"
    with output.open("w") as written:
        shell = subprocess.Popen(
            ["bash", "-euc", script],
            cwd=folder,
            env=environ,
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield output
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(20)


def wait_for(pattern: str, output: Path) -> None:
    deadline = time.monotonic() + 60
    while not re.search(pattern, output.read_text(encoding="utf-8")):
        if time.monotonic() > deadline:
            pytest.fail(f"{pattern} did not appear:\n{output.read_text(encoding='utf-8')}")
        time.sleep(0.1)


def test_the_documented_commands_lead_from_an_empty_folder_to_a_sign_in(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    door, provider = free_port(), free_port()
    script = lines_of_the_section().replace("8080", str(door)).replace("9400", str(provider))
    with following(script, folder, management=free_port()) as output, CookieClient() as browser:
        wait_for('"event": "ready"', output)
        report = output.read_text(encoding="utf-8")
        assert re.search(r"^ok +providers\.idp:", report, re.MULTILINE), report
        assert not re.search(r"^(?:fault|warning) ", report, re.MULTILINE), report
        pages = browser.walk(browser.get(f"http://localhost:{door}/auth/login"))
        browser.walk(browser.submit(pages[-1], "#person-alice"))
        assert browser.fetch(f"http://localhost:{door}/auth/session").json()["roles"] == ["analyst"]
