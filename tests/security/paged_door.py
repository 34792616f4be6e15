"""A real front door with two real managed pages.

They run any code that their visitor sends, as if an attacker had them.

Started as root, as a plain user, or as a user that may switch to others. Everything is in a new folder below the
system's temporary folder, arranged as in `docs/operate.md`: secrets and configuration in one folder, pages in another.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gateway.sandbox import interpreters
from gateway.sandbox.accounts import Account
from gateway.sandbox.plan import Plan, launch_command
from gateway.sandbox.reach import Allowed
from gateway.sandbox.ways import find_ways
from tests.gateway.running_processes import command_line_of, descendants, wait_until_gone
from tests.streamlit_kit.visitor import visiting

ROOT = Path(__file__).parents[2]
PLAIN = 60_690
"""A user without a name, for front doors that are not root: next to the numbers that pages get."""
TEMPORARY = "tmp"
"""Each door has a separate one: a door removes there what earlier ones left, and many run at the same time."""
Starter = Literal["root", "plain", "switching"]
PAGE = """
import json
import streamlit as st

scope = {}
exec(st.query_params["code"], scope)
st.text(json.dumps(scope["answer"]))
"""
CONFIGURATION = """
[server]
public_url = "https://apps.example.com"
bind = "127.0.0.1:0"
management_bind = "127.0.0.1:0"

[secrets]
keys_file = "keys"
admin_token_file = "admin-token"

[providers.corp]
issuer = "https://idp.example.com"
client_id = "vestibule"
client_secret_file = "client-secret"

[kit_clients.alpha]
secret_file = "kit-alpha"

[kit_clients.beta]
secret_file = "kit-beta"
"""
ROUTE = """
[[routes]]
id = "{name}"
path = "/{name}/"
upstream = "streamlit:{script}"
kit = "{name}"
[routes.streamlit]
{more}
"""
SECRETS = ("keys", "admin-token", "client-secret", "kit-alpha", "kit-beta")


@dataclass(slots=True)
class PagedDoor:
    """`place`: `etc` (secrets), `pages/alpha`, `pages/beta`, `own` (somebody's files), and what a test adds."""

    place: Path
    starter: Starter
    process: subprocess.Popen[bytes] = field(repr=False)
    log: Path

    @property
    def supervisor(self) -> int:
        """Its process id; with `setpriv` in front it is the same, which `exec` keeps."""
        return self.process.pid

    @property
    def worker(self) -> int:
        return self._child("gateway.processes.worker")

    def page(self, name: str) -> int:
        return self._child(str(self.place / "pages" / name / "app.py"))

    def port(self, name: str) -> int:
        return next(
            int(word.removeprefix("--server.port="))
            for word in command_line_of(self.page(name)).split()
            if word.startswith("--server.port=")
        )

    def run_in(self, name: str, code: str) -> Any:
        """What `code`, run by the page's server, leaves in `answer`."""
        with visiting(self.port(name), [], base_path=f"/{name}") as visitor:
            sight = visitor.run(query={"code": code})
        assert not sight.exceptions, sight.exceptions
        return json.loads(sight.texts[0])

    def _child(self, part: str) -> int:
        found = [pid for pid in descendants(self.supervisor) if part in command_line_of(pid)]
        assert found, f"no process with {part}:\n{self.log.read_text()}"
        return found[0]

    def stop(self) -> None:
        everything = [self.supervisor, *descendants(self.supervisor)]
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        wait_until_gone(everything, seconds=5)


def may_start_as(starter: Starter) -> str:
    """Why the user who runs this test cannot use `starter`; "" if they can."""
    if os.geteuid() == 0:
        return "" if starter != "switching" or shutil.which("setpriv") else "setpriv is not installed"
    return "" if starter == "plain" else "only root can start a front door as root or with capabilities"


@contextmanager
def laid_out(*, starter: Starter, more: str = "") -> Iterator[Path]:
    """The folder of a front door; `more` goes into each page's [routes.streamlit]."""
    place = Path(tempfile.mkdtemp(prefix="vestibule-test-", dir="/tmp"))
    try:
        place.chmod(0o755)
        etc = place / "etc"
        for folder in (etc, place / "own", *(place / "pages" / name for name in ("alpha", "beta"))):
            folder.mkdir(parents=True)
        for name in SECRETS:
            (etc / name).write_text(secrets.token_urlsafe(48) + "\n")
            (etc / name).chmod(0o600)
        (place / "own" / "id_ed25519").write_text("a private key of the person who runs this\n")
        (place / "own" / "id_ed25519").chmod(0o600)
        (place / "own" / "notes").write_text("everybody of this machine may read these\n")
        routes = ""
        for name in ("alpha", "beta"):
            script = place / "pages" / name / "app.py"
            script.write_text(PAGE)
            routes += ROUTE.format(name=name, script=script, more=more)
        (etc / "vestibule.toml").write_text(CONFIGURATION + routes)
        etc.chmod(0o700)
        (place / TEMPORARY).mkdir()
        (place / TEMPORARY).chmod(0o1777)
        if os.geteuid() == 0 and starter != "root":
            for path in (place, *place.rglob("*")):
                os.chown(path, PLAIN, PLAIN)
        yield place
    finally:
        shutil.rmtree(place)


@contextmanager
def running(place: Path, *, starter: Starter, seconds: float = 60) -> Iterator[PagedDoor]:
    """The front door of `place`, once it and both pages answer; ended afterwards."""
    log = place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_as(starter, vestibule("run", place), place=place),
            env=environment() | {"TMPDIR": str(place / TEMPORARY)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    door = PagedDoor(place, starter, process, log)
    try:
        _wait_until_ready(door, seconds=seconds)
        yield door
    finally:
        if process.poll() is None:
            door.stop()


def vestibule(command: str, place: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "gateway.cli.main", *command.split(), "-c", str(place / "etc" / "vestibule.toml"))


def environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PYTHONPATH": str(ROOT), "HOME": "/nowhere"}


def command_as(starter: Starter, program: tuple[str, ...], *, place: Path) -> list[str]:
    """Run `program` as `starter`, who can reach this Python and this checkout in every case."""
    if starter == "root" or os.geteuid() != 0:
        return list(program)
    needed = [Allowed(path, "for the test") for path in (ROOT, place, *interpreters.own_folders())]
    closed, binds = find_ways(needed, Account(PLAIN, PLAIN), may_mount=True)
    if starter == "plain":
        plan = Plan(uid=PLAIN, gid=PLAIN, closed=closed, binds=binds)
        return launch_command(plan, program, python=sys.executable, descriptors=())
    wanted = "+setuid,+setgid,+kill"
    become = ("--reuid", str(PLAIN), "--regid", str(PLAIN), "--clear-groups")
    setpriv = (shutil.which("setpriv") or "", *become, "--inh-caps", wanted, "--ambient-caps", wanted)
    plan = Plan(capabilities=(1 << 64) - 1, new_privileges=True, closed=closed, binds=binds)
    return launch_command(plan, (*setpriv, *program), python=sys.executable, descriptors=())


def _wait_until_ready(door: PagedDoor, *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert door.process.poll() is None, f"ended early:\n{door.log.read_text()}"
        if '"ready"' in door.log.read_text() and all(_answers(door.port(name)) for name in ("alpha", "beta")):
            return
        time.sleep(0.1)
    raise AssertionError(f"not ready in {seconds} s:\n{door.log.read_text()}")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tried(lines: Sequence[str]) -> str:
    """Code that tries each expression of `lines`. For each it answers the result, or the error that refused it."""
    return (
        "import os, socket, subprocess\nfrom pathlib import Path\nanswer = []\n"
        f"for line in {list(lines)!r}:\n"
        "    try:\n        answer.append(['done', repr(eval(line))[:200]])\n"
        "    except Exception as exc:\n        answer.append(['refused', type(exc).__name__])\n"
    )
