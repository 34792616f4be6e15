"""Finding, requiring and installing the programs that tests need."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests import components


def make_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_admin_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "ADMIN_FOLDERS", ())


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "_found", lambda package: None)


@pytest.mark.usefixtures("no_admin_folders")
def test_a_program_that_states_its_version_is_found(tmp_path: Path) -> None:
    program = make_program(tmp_path, "redis-server", "echo 7.0")
    assert components.find("redis-server", path=str(tmp_path)) == program


@pytest.mark.usefixtures("no_admin_folders")
def test_a_program_that_cannot_state_its_version_is_missing(tmp_path: Path) -> None:
    make_program(tmp_path, "chromium", "echo broken; exit 127")
    assert components.find("chromium", path=str(tmp_path)) is None


@pytest.mark.usefixtures("no_admin_folders")
def test_the_second_name_of_a_program_is_used_when_the_first_is_broken(tmp_path: Path) -> None:
    make_program(tmp_path, "node", "exit 1")
    second = make_program(tmp_path, "nodejs", "echo v20")
    assert components.find("nodejs", path=str(tmp_path)) == second


def test_servers_are_found_in_the_sbin_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = make_program(tmp_path, "nginx", '[ "$1" = -v ]')
    monkeypatch.setattr(components, "ADMIN_FOLDERS", (str(tmp_path),))
    assert components.find("nginx", path="") == program


@pytest.mark.usefixtures("absent")
def test_a_missing_component_skips_the_test_and_names_the_package() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install nginx"):
        components.require("nginx", environ={})


@pytest.mark.usefixtures("absent")
def test_a_missing_component_fails_the_test_in_continuous_integration() -> None:
    with pytest.raises(pytest.fail.Exception, match="nothing may be skipped"):
        components.require("nginx", environ={"CI": "true"})


def test_services_may_start_again_after_an_installation(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with components.services_kept_from_starting(policy):
        assert policy.read_text(encoding="utf-8") == components.DENY_SERVICES
        assert policy.stat().st_mode & stat.S_IXUSR
    assert not policy.exists()


def test_an_existing_policy_file_is_restored_even_after_a_failure(tmp_path: Path) -> None:
    policy = make_program(tmp_path, "policy-rc.d", "exit 0")
    policy.chmod(0o700)

    def fail() -> None:
        with components.services_kept_from_starting(policy):
            raise RuntimeError("apt-get broke")

    with pytest.raises(RuntimeError):
        fail()
    assert policy.read_text(encoding="utf-8") == "#!/bin/sh\nexit 0\n"
    assert stat.S_IMODE(policy.stat().st_mode) == 0o700


def test_an_installation_updates_the_index_first_asks_no_question_and_starts_no_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, policy = tmp_path / "log", tmp_path / "policy-rc.d"
    record = f'echo "$DEBIAN_FRONTEND $(tail -n 1 {policy}) $*" >> {log}'
    make_program(tmp_path / "bin", "apt-get", f'{record}; case "$*" in *nginx) echo no route >&2; exit 100;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    components.install(["nginx", "redis-server"], policy=policy)
    calls = log.read_text(encoding="utf-8").splitlines()
    assert [call.split()[-1] for call in calls] == ["update", "nginx", "redis-server"]
    assert all(call.startswith("noninteractive exit 101 ") for call in calls)
    assert not policy.exists()
    assert "no route" in capsys.readouterr().out
