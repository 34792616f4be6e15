"""`deploy/systemd`: the unit passes on exactly what `vestibule init` writes, and its users can read nothing else."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from bff.settings.loading import load_settings
from gateway.cli.initialise import Wishes, initialise
from tests.gateway.commands import vestibule
from tests.repository import ROOT

UNIT = ROOT / "deploy" / "systemd" / "vestibule.service"
CAPABILITIES = {"CAP_SETUID", "CAP_SETGID", "CAP_KILL"}


def values(key: str) -> list[str]:
    """Every value of a key of [Service], in order."""
    section = UNIT.read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[")[0]
    lines = (line.partition("=") for line in section.splitlines() if not line.startswith("#"))
    return [value for name, _, value in lines if name == key]


def credentials() -> dict[str, str]:
    """Name → file."""
    return dict(value.split(":", 1) for value in values("LoadCredential"))


def variables(folder: Path) -> dict[str, str]:
    """The environment of the service when `folder` holds its credentials."""
    return dict(value.replace("%d", str(folder)).split("=", 1) for value in values("Environment"))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What `init` writes for an app and an API, as /etc/vestibule."""
    (tmp_path / "pages").mkdir()
    script = tmp_path / "pages" / "app.py"
    script.touch()
    wishes = Wishes(
        issuer="https://idp.example.com/realms/corp",
        client_id="vestibule",
        client_secret="the-one-from-the-provider",
        streamlit=str(script),
        api="http://127.0.0.1:9000",
        public_url="https://apps.example.com",
    )
    return initialise(wishes, folder=tmp_path / "etc").file.parent


def test_the_credentials_are_exactly_the_files_that_init_writes(etc: Path) -> None:
    written = {str(file.relative_to(etc)) for file in etc.rglob("*") if file.is_file() and file.name != ".gitignore"}
    assert {file.removeprefix("/etc/vestibule/") for file in credentials().values()} == written


def test_each_credential_replaces_its_file() -> None:
    named = {value.partition("%d/")[2] for value in values("Environment") if "%d/" in value}
    assert named == set(credentials())


def test_the_service_starts_with_only_its_credentials(etc: Path, tmp_path: Path) -> None:
    handed = tmp_path / "credentials"
    handed.mkdir(mode=0o500)
    for name, file in credentials().items():
        shutil.copy(etc / file.removeprefix("/etc/vestibule/"), handed / name)
        (handed / name).chmod(0o440)
    keys = (etc / "secrets" / "keys").read_text().split()
    shutil.rmtree(etc)
    environ = variables(handed) | {"CREDENTIALS_DIRECTORY": str(handed)}
    done = vestibule("config", "check", folder=tmp_path, variables=environ)
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
    settings = load_settings(handed / "vestibule.toml", environ=environ)
    assert [key.get_secret_value() for key in settings.secrets.keys] == keys
    assert list(settings.kit_clients) == ["app"], "no variable makes a kit client of its own"


def test_the_supervisor_has_only_the_capabilities_to_switch_users_and_send_signals() -> None:
    assert set(values("AmbientCapabilities")[0].split()) == CAPABILITIES
    assert set(values("CapabilityBoundingSet")[0].split()) == CAPABILITIES
    assert values("NoNewPrivileges") == ["yes"]
    assert values("User") == ["vestibule"], "a service as root would not need them"


def test_files_that_init_writes_are_not_readable_by_others(etc: Path) -> None:
    written = [one for one in (etc, *etc.rglob("*")) if one.name != ".gitignore"]
    assert [one for one in written if stat.S_IMODE(one.stat().st_mode) & 0o077] == []


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/vestibule/.venv/bin/vestibule", "/bin/true"))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "vestibule.service" in line]) == (0, [])
