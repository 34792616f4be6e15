"""Programs that some tests need besides Python packages: find them, install them if allowed, or name what is missing.

`python -m tests.components ensure` runs before the tests: as root on Debian it installs what is missing with apt-get,
elsewhere it names it. In a test, `require("redis-server")` gives the program's path, skips the test where it is
missing, and fails it when `CI=true`: continuous integration must not pass by leaving tests out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

POLICY = Path("/usr/sbin/policy-rc.d")
DENY_SERVICES = "#!/bin/sh\nexit 101\n"
ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts servers; an ordinary user's PATH lacks them."""


@dataclass(frozen=True, slots=True)
class Component:
    """A program by the name of its Debian package; `binaries` in order of preference."""

    package: str
    binaries: tuple[str, ...]
    version_flag: str = "--version"


COMPONENTS: Mapping[str, Component] = {
    component.package: component
    for component in (
        Component("chromium", ("chromium", "chromium-browser", "google-chrome")),
        Component("redis-server", ("redis-server",)),
        Component("nginx", ("nginx",), version_flag="-v"),
        Component("haproxy", ("haproxy",), version_flag="-v"),
        Component("caddy", ("caddy",), version_flag="version"),
        Component("curl", ("curl",)),
        Component("nodejs", ("node", "nodejs")),
        Component("npm", ("npm",)),
    )
}


def find(package: str, *, path: str | None = None) -> Path | None:
    """The component's program, if it is there and can state its version."""
    component = COMPONENTS[package]
    folders = os.pathsep.join(((os.environ.get("PATH", "") if path is None else path), *ADMIN_FOLDERS))
    for binary in component.binaries:
        program = shutil.which(binary, path=folders)
        if program and _states_version(program, component.version_flag):
            return Path(program)
    return None


def _states_version(program: str, flag: str) -> bool:
    try:
        return subprocess.run([program, flag], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def _found(package: str) -> Path | None:
    return find(package)


def require(package: str, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Path of the program, or the end of this test: skipped, with `CI=true` failed."""
    program = _found(package)
    if program is None:
        leave_out(f"{package} is missing: apt-get install {package}", environ=environ)
    return program


def leave_out(reason: str, *, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """End this test because this machine cannot run it: skipped, with `CI=true` failed."""
    if environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{reason} (CI=true: nothing may be skipped)", pytrace=False)
    pytest.skip(reason)


@contextmanager
def services_kept_from_starting(policy: Path = POLICY) -> Iterator[None]:
    """Stop apt-get from starting the daemons that it installs (Debian's policy-rc.d).

    Afterwards restore what was there.
    """
    before = (policy.read_bytes(), policy.stat().st_mode) if policy.exists() else None
    policy.write_text(DENY_SERVICES, encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            policy.unlink(missing_ok=True)
        else:
            policy.write_bytes(before[0])
            policy.chmod(before[1])


def install(packages: Sequence[str], *, policy: Path = POLICY) -> None:
    """Install each of `packages` with apt-get. If one fails, it is named, and the others are still installed."""
    print(f"installing {', '.join(packages)} with apt-get", flush=True)
    with services_kept_from_starting(policy):
        _apt_get("update")
        for package in packages:
            _apt_get("install", "-y", "--no-install-recommends", package)


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}", flush=True)


def may_install() -> bool:
    """True as root on Debian or a system made from it."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


def ensure() -> None:
    """Install the components where that is possible, and name the ones that are missing."""
    missing = [package for package in COMPONENTS if find(package) is None]
    if missing and may_install():
        install(missing)
        missing = [package for package in missing if find(package) is None]
    if missing:
        print(f"missing, so tests that need them are skipped: {', '.join(missing)}", flush=True)
        print(f"on Debian: sudo apt-get update && sudo apt-get install -y {' '.join(missing)}", flush=True)


def main(arguments: Sequence[str]) -> int:
    if list(arguments) != ["ensure"]:
        print("usage: python -m tests.components ensure", file=sys.stderr)
        return 2
    # A terminated run still puts policy-rc.d back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ensure()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
