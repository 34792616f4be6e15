"""The page and the API of the README work unchanged under `vestibule dev`, with a sign-in at the mock provider."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
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


@contextmanager
def developing(folder: Path, *arguments: str) -> Iterator[Development]:
    """Run `vestibule dev` with `arguments` in `folder` until the block ends."""
    port, log = free_port(), folder.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli.main", "dev", *arguments, "--port", str(port)],
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


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Development]:
    """The Python blocks of the README, each in the file that its first line names, under `vestibule dev`."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for block in blocks_of((ROOT / "README.md").read_text(encoding="utf-8")):
        if block.language == "python":
            (folder / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text, encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == ["app.py", "main.py"]
    with developing(folder, "app.py", "--api", "main:app", "--as", "alice:analyst,bob") as development:
        yield development


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


def run_page(running: Development, *, until: str, name: str = "alice") -> None:
    """Open the page and run it once, until the terminal says `until`."""
    rerun = BackMsg()
    rerun.rerun_script.query_string = ""
    with CookieClient() as person:
        sign_in(person, running.url, name)
        cookie = f"vestibule={person.cookies['vestibule'].value}"
        address = running.url.replace("http", "ws") + "/_stcore/stream"
        with connect(address, origin=Origin(running.url), additional_headers={"Cookie": cookie}) as page:
            page.send(rerun.SerializeToString())
            wait_until(lambda: until in running.said(), seconds=10)


def test_no_call_fails_while_the_api_starts_again(running: Development) -> None:
    file = running.folder / "main.py"
    with CookieClient() as alice:
        sign_in(alice, running.url, "alice")
        file.write_text(f"import time\ntime.sleep(1)\n{file.read_text()}\napp.version = '2'\n", encoding="utf-8")
        statuses, version = [], ""
        while version != "2":
            answer = alice.get(f"{running.url}/api/openapi.json")
            statuses.append(answer.status_code)
            assert answer.status_code == 200, answer.text
            version = answer.json()["info"]["version"]
            assert len(statuses) < 5_000
    assert len(statuses) > 1, "the old process answered before"


def test_the_other_local_address_leads_to_the_page(running: Development) -> None:
    port = urlsplit(running.url).port
    for path, status in (("/", 200), ("/Explore", 404)):
        page = httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Accept": "text/html"})
        assert page.status_code == status
        assert f'href="{running.url}{path}"' in page.text


PAGE_THAT_LOOKS_AROUND = """
import os, pathlib

for name in ("beside.txt", "../above.txt", "../.env", "deeper/below.txt"):
    path = pathlib.Path(__file__).parent / name
    try:
        print(f"{name}: {path.read_text()}")
    except OSError as exc:
        print(f"{name}: {type(exc).__name__}")
print("working folder:", os.getcwd())
"""


def test_a_page_in_a_folder_below_reads_its_own_folder_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    folder = tmp_path / "mine"
    (folder / "sub" / "deeper").mkdir(parents=True)
    for name in ("sub/beside.txt", "above.txt", ".env", "sub/deeper/below.txt"):
        (folder / name).write_text("canary", encoding="utf-8")
    (folder / "sub" / "app.py").write_text(PAGE_THAT_LOOKS_AROUND, encoding="utf-8")
    with developing(folder, "sub/app.py", "--as", "alice") as running:
        run_page(running, until="working folder")
        said = running.said()
    assert "app | beside.txt: canary" in said
    assert "app | deeper/below.txt: canary" in said
    for name in ("../above.txt", "../.env"):  # the error depends on what this machine can do
        assert re.search(rf"app \| {re.escape(name)}: (?:PermissionError|FileNotFoundError)\n", said), said
    assert f"app | working folder: {folder / 'sub'}" in said


def test_a_broken_page_leaves_a_readable_traceback(running: Development) -> None:
    (running.folder / "app.py").write_text("raise RuntimeError('no such luck')\n", encoding="utf-8")
    run_page(running, until="app | RuntimeError: no such luck")
    assert "app | Traceback (most recent call last):" in running.said()
    assert "x1b" not in running.said()
