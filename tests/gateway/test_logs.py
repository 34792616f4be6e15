"""The log of `vestibule run` is for people on a terminal, and for programs elsewhere, unless the settings say which."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bff.settings.tables import Settings
from gateway.cli.key_files import new_key
from gateway.logs import for_a_terminal
from tests.bff import factories
from tests.gateway.commands import environment
from tests.ports import free_port


def settings(**log: Any) -> Settings:
    return factories.settings(log=log)


@pytest.mark.parametrize(
    ("log", "is_terminal", "form"),
    [
        ({}, True, "console"),
        ({}, False, "json"),
        ({"format": "json"}, True, "json"),
        ({"format": "console"}, False, "console"),
        ({"level": "debug"}, True, "console"),
    ],
    ids=["terminal", "no terminal", "json is set", "console is set", "something else is set"],
)
def test_the_log_format_depends_on_the_terminal_unless_it_is_set(
    log: dict[str, Any], is_terminal: bool, form: str
) -> None:
    assert for_a_terminal(settings(**log), is_terminal=is_terminal).log.format == form


def test_run_on_a_terminal_prints_the_address_on_a_separate_line_without_json(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "vestibule.toml").write_text(f"""
[server]
public_url = "http://localhost:{port}"
bind = "localhost:{port}"
management_bind = "127.0.0.1:0"
environment = "development"
[secrets]
keys = ["{new_key()}"]
[providers.corp]
issuer = "http://127.0.0.1:9"
client_id = "x"
client_secret = "unit-test-client-secret"
""")
    (tmp_path / "vestibule.toml").chmod(0o600)
    ours, theirs = pty.openpty()
    command = (sys.executable, "-m", "gateway.cli.main", "run")
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = _read_until(ours, b"ready: http")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    os.close(ours)
    assert re.search(rf"^ *Vestibule is ready: http://localhost:{port}\s*$", said, re.MULTILINE)
    assert "{" not in said


def _read_until(descriptor: int, text: bytes) -> str:
    said = b""
    while text not in said or not said.endswith(b"\n"):
        said += os.read(descriptor, 4096)
    return said.decode()
