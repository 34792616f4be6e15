"""What the README shows runs as it stands: its page and its API under `vestibule dev`, signed in at the mock provider."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.listeners import free_port
from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient
from tests.markdown import blocks_of
from tests.repository import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Python blocks of the README, each under the name in its first line."""
    for block in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")):
        if block.language == "python":
            name = block.text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(block.text, encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app.py", "main.py"]
    return tmp_path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(folder: Path, port: int) -> Iterator[CommandProcess]:
    arguments = ("dev", "app.py", "--api", "main:app", "--as", "alice:analyst", "--as", "bob", "--port", str(port))
    process = CommandProcess(arguments, folder=folder)
    try:
        process.wait_for("app.py is ready")
        yield process
    finally:
        process.stop()


def signed_in(browser: CookieClient, port: int, name: str) -> None:
    form = browser.walk(browser.get(f"http://localhost:{port}/"))[-1]
    pages = browser.walk(browser.submit(form, "", fields={"sub": name}))
    assert pages[-1].status_code == 200


def test_the_readmes_page_and_api_work_together(running: CommandProcess, port: int) -> None:
    with CookieClient() as alice, CookieClient() as bob:
        signed_in(alice, port, "alice")
        answer = alice.fetch(f"http://localhost:{port}/api/predict", method="POST", data="{}")
        assert (answer.status_code, answer.json()) == (200, {"for": "alice"})
        signed_in(bob, port, "bob")
        refused = bob.fetch(f"http://localhost:{port}/api/predict", method="POST", data="{}")
        assert refused.status_code == 403
    assert "status=403" in running.output
    assert refused.headers["x-request-id"] in running.output
