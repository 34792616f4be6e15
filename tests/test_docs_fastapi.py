"""docs/fastapi.md works unchanged: every block is written or run in the order of the page. Answers are compared."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.bearer import JWTBearer
from bff.testing import FakeProvider
from tests.bff.installed_plugin import with_plugin
from tests.fakes import CookieClient
from tests.markdown import Block, blocks_of
from tests.ports import free_port
from tests.repository import ROOT

PAGE = ROOT / "docs" / "fastapi.md"
CURL = """#!{python}
import argparse, httpx
parser = argparse.ArgumentParser()
parser.add_argument("-s", action="store_true")
parser.add_argument("-X", default="GET")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("url")
asked = parser.parse_args()
headers = [tuple(part.strip() for part in header.split(":", 1)) for header in asked.H]
print(httpx.request(asked.X, asked.url, headers=headers).text, end="")
"""
"""For machines without curl: the part of it that the page uses."""


@dataclass
class Reader:
    """A reader who does what the page says: files in `folder`, commands in one shell, servers in the background."""

    folder: Path
    environ: dict[str, str]
    ports: dict[str, int] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    stack: ExitStack = field(default_factory=ExitStack)

    def follow(self, block: Block) -> None:
        first = block.text.splitlines()[0]
        match block.language:
            case "python" | "toml" if first.startswith("# "):
                (self.folder / first.removeprefix("# ")).write_text(block.text, encoding="utf-8")
            case "sh" if first.startswith("uvicorn "):
                self.stack.enter_context(self.serving(first))
            case "sh":
                self.run(block.text)
            case "json":
                assert json.loads(self.printed) == json.loads(block.text), f"line {block.line}"
            case "ini":
                variables = dict(line.split("=", 1) for line in block.text.splitlines())
                assert JWTBearer.from_env(variables).rules.audience == "reports"

    def run(self, script: str) -> None:
        """Run a block in a shell; what it exports stays for the blocks after it."""
        keep = (
            f"\n{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))' > environ.json"
        )
        command = ["sh", "-eu", "-c", "set -a\n" + self.with_own_ports(script) + keep]
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        self.environ = json.loads((self.folder / "environ.json").read_text(encoding="utf-8"))
        self.printed = done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """Run a server until the end of the page. The ports of the page may be in use here, so it gets another one."""
        documented = command.rpartition("--port ")[2]
        self.ports[documented] = port = free_port()
        overrides = {"VESTIBULE_SERVER__PUBLIC_URL": f"http://localhost:{port}"} if "front:app" in command else {}
        arguments = [sys.executable, "-m", *shlex.split(self.with_own_ports(command))]
        with (self.folder / "server.log").open("w") as log:
            server = subprocess.Popen(
                arguments, cwd=self.folder, env=self.environ | overrides, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            deadline = time.monotonic() + 20
            while not _answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"{command}\n{(self.folder / 'server.log').read_text(encoding='utf-8')}")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait(10)

    def with_own_ports(self, text: str) -> str:
        for documented, port in self.ports.items():
            text = text.replace(documented, str(port))
        return text


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """A reader with the project installed, and the identity provider that the page takes for granted."""
    folder, programs = tmp_path / "project", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    if shutil.which("curl") is None:
        (programs / "curl").write_text(CURL.format(python=sys.executable), encoding="utf-8")
        (programs / "curl").chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    with FakeProvider() as provider:
        (folder / "client-secret").write_text(provider.client_secret, encoding="utf-8")
        environ = {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), str(programs), os.environ["PATH"])),
            "HOME": str(tmp_path),
            "NO_PROXY": "*",
            "VESTIBULE_PROVIDERS__CORP__ISSUER": provider.issuer,
            "VESTIBULE_PROVIDERS__CORP__ID_TOKEN_ALG": "ES256",
            "VESTIBULE_PROVIDERS__CORP__ROLES_CLAIM": "roles",
            **with_plugin(tmp_path / "site"),
        }
        reader = Reader(folder, environ)
        with reader.stack:
            yield reader


def test_all_blocks_of_the_page_work_in_order(reader: Reader) -> None:
    for block in blocks_of(PAGE.read_text(encoding="utf-8")):
        if not block.skipped:
            reader.follow(block)
    _see_that_proxied_routes_are_closed(reader)
    _sign_in_at_the_front_door(f"http://localhost:{reader.ports['8003']}")


@pytest.mark.parametrize(
    ("person", "audience", "status"),
    [("alice", "reports", 403), ("alice", "another-api", 401), ("", "reports", 401)],
    ids=["known caller without the role", "token of another API", "no token"],
)
def test_the_part_for_plain_python_checks_tokens(
    monkeypatch: pytest.MonkeyPatch, person: str, audience: str, status: int
) -> None:
    (block,) = (block for block in blocks_of(PAGE.read_text(encoding="utf-8")) if block.text.startswith("# plain.py"))
    module: dict[str, Any] = {}
    with FakeProvider() as provider:
        for name, value in provider.variables(audience="reports").items():
            monkeypatch.setenv(name, value)
        exec(compile(block.text, "plain.py", "exec"), module)
        given = f"Bearer {provider.access_token(person, audience=audience)}" if person else ""
        assert module["find_caller"](given)[0] == status
        provider.is_down = True
        assert module["find_caller"](given)[0] == status, "keys that are known go on while the provider is down"


def _see_that_proxied_routes_are_closed(reader: Reader) -> None:
    with reader.serving("uvicorn proxied:app --no-proxy-headers --port 8004"):
        url = f"http://127.0.0.1:{reader.ports['8004']}"
        answer = httpx.get(url + "/me", headers={"X-Auth-Request-User": "eve"})
        assert (answer.status_code, answer.json()["detail"]["error"]) == (403, "proxy_untrusted")


def _sign_in_at_the_front_door(url: str) -> None:
    with CookieClient() as browser:
        assert browser.fetch(url + "/").status_code == 401
        assert browser.walk(browser.get(url + "/"))[-1].json() == "Hello Alice"
        assert browser.fetch(url + "/admin").json() == "everything"
        assert browser.fetch(url + "/orders", method="POST").json() == "ordered for alice"
        assert browser.fetch(url + "/orders", method="POST", cross_site=True).status_code == 403
        browser.walk(browser.post(url + "/auth/logout"))
        assert browser.fetch(url + "/").status_code == 401


def test_every_block_of_the_page_is_run_or_has_a_reason_why_not() -> None:
    """A block in another language would be a block that nobody checks."""
    blocks = list(blocks_of(PAGE.read_text(encoding="utf-8")))
    assert {block.language for block in blocks} == {"python", "toml", "sh", "json", "ini"}
    unnamed = [b.line for b in blocks if b.language == "python" and not b.text.startswith("# ")]
    assert unnamed == [], "a Python block names its file in its first line"


def test_an_answer_that_differs_from_the_page_is_detected(tmp_path: Path) -> None:
    reader = Reader(tmp_path, dict(os.environ), printed='"Sales went up."')
    with pytest.raises(AssertionError):
        reader.follow(Block("json", '"Sales went down."\n', 1, skipped=False))
    with pytest.raises(AssertionError):
        reader.follow(Block("sh", "false\n", 1, skipped=False))
