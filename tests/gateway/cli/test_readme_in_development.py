"""The page and the API of the README work unchanged under `vestibule dev`, with a sign-in at the mock provider."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.testing.v1 import AppTest
from websockets.sync.client import connect
from websockets.typing import Origin

from gateway.processes.listeners import free_port
from streamlit_kit.testing import FakeApi, shown_panel, signed_in_as
from tests.fakes import CookieClient
from tests.gateway.commands import environment
from tests.gateway.running_processes import wait_until
from tests.markdown import blocks_of
from tests.repository import ROOT


@dataclass(frozen=True)
class Development:
    """`vestibule dev` in `folder`, ready."""

    url: str
    folder: Path
    log: Path

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Development]:
    """The Python blocks of the README, each in the file that its first line names, under `vestibule dev`."""
    folder, port, log = tmp_path / "mine", free_port(), tmp_path / "log"
    folder.mkdir()
    for block in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")):
        if block.language == "python":
            (folder / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text, encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["app.py", "main.py"]
    arguments = ("dev", "app.py", "--api", "main:app", "--as", "alice:analyst,bob", "--port", str(port))
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", *arguments],
            cwd=folder,
            env=environment() | {"FORCE_COLOR": "1", "TERM": "xterm-256color"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    development = Development(f"http://localhost:{port}", folder, log)
    try:
        wait_until(lambda: "app.py is ready" in development.said() or process.poll() is not None, seconds=60)
        assert process.poll() is None, development.said()
        yield development
    finally:
        process.terminate()
        process.wait(10)


def test_the_page_from_the_readme_says_who_is_not_allowed_and_why() -> None:
    [block] = [block for block in blocks_of((ROOT / "README.md").read_text()) if block.text.startswith("# app.py")]
    refusal = {"detail": {"error": "insufficient_scope", "error_description": "needs the role: analyst"}}
    api = FakeApi().on("POST", "predict", status=403, json=refusal)
    with signed_in_as("bob", roles=("viewer",), api=api):
        page = AppTest.from_string(block.text, default_timeout=20).run()
        page.button[0].click().run()
    assert not page.exception
    assert shown_panel(page) == 403
    assert "needs the role: analyst" in "".join(element.body for element in page.html)


def sign_in(browser: CookieClient, url: str, name: str) -> None:
    pages = browser.walk(browser.get(url))
    form = pages[-1]
    assert form.url.host == "127.0.0.1", "another site than the front door's, as later"
    assert {page.url.port for page in pages} == {urlsplit(url).port}, "one forwarded port is enough"
    page = browser.walk(browser.submit(form, f"#person-{name}"))[-1]
    assert (page.status_code, str(page.url).startswith(url)) == (200, True)


def test_the_page_and_the_api_from_the_readme_work_together(running: Development) -> None:
    with CookieClient() as alice, CookieClient() as bob:
        sign_in(alice, running.url, "alice")
        answer = alice.fetch(f"{running.url}/api/predict", method="POST", json={"temperature": 21.5})
        assert (answer.status_code, answer.json()) == (200, {"for": "alice"})
        assert "'/api/openapi.json'" in alice.get(f"{running.url}/api/docs").text
        assert "/predict" in alice.get(f"{running.url}/api/openapi.json").json()["paths"]
        sign_in(bob, running.url, "bob")
        refused = bob.fetch(f"{running.url}/api/predict", method="POST", json={})
        assert refused.status_code == 403
    wait_until(lambda: f"request_id={refused.headers['x-request-id']}" in running.said(), seconds=5)
    assert "status=403" in running.said()
    assert "status=200" not in running.said()


def test_a_broken_page_leaves_a_readable_traceback(running: Development) -> None:
    (running.folder / "app.py").write_text("raise RuntimeError('no such luck')\n", encoding="utf-8")
    rerun = BackMsg()
    rerun.rerun_script.query_string = ""
    with CookieClient() as alice:
        sign_in(alice, running.url, "alice")
        cookie = f"vestibule={alice.cookies['vestibule'].value}"
        address = running.url.replace("http", "ws") + "/_stcore/stream"
        with connect(address, origin=Origin(running.url), additional_headers={"Cookie": cookie}) as page:
            page.send(rerun.SerializeToString())
            wait_until(lambda: "app | RuntimeError: no such luck" in running.said(), seconds=10)
    assert "app | Traceback (most recent call last):" in running.said()
    assert "x1b" not in running.said()
