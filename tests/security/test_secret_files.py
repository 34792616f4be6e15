"""FM-6: the program does not start if others may change, replace or read a secret, wherever its real file is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bff.settings.loading import ConfigurationError, load_settings, weak_secret_files
from tests.gateway.commands import vestibule

KEY = "unit-test-key-0123456789-abcdefghijklmnop"
SECRET = "unit-test-secret-0123456789"
TOML = """
[server]
public_url = "{public_url}"
environment = "{environment}"
trusted_proxies = ["10.0.0.0/8"]
trusted_proxy_secret_file = "secrets/proxy"
[server.tls]
certificate_file = "secrets/tls.pem"
key_file = "secrets/tls.key"
[secrets]
keys_file = "secrets/keys"
admin_token_file = "secrets/admin"
[providers.corp]
issuer = "https://idp.example.com"
client_id = "x"
client_secret_file = "secrets/client"
[kit_clients.pages]
secret_file = "secrets/kit"
[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:9000"
upstream_secret_file = "secrets/upstream"
"""
PLACES = {
    "secrets.keys_file": "keys",
    "secrets.admin_token_file": "admin",
    "providers.corp.client_secret_file": "client",
    "kit_clients.pages.secret_file": "kit",
    "server.trusted_proxy_secret_file": "proxy",
    "routes[0].upstream_secret_file": "upstream",
    "server.tls.key_file": "tls.key",
}


def write(folder: Path, *, environment: str = "production") -> None:
    public_url = "https://apps.example.com" if environment == "production" else "http://localhost:8000"
    (folder / "secrets").mkdir(mode=0o700)
    for name in (*PLACES.values(), "tls.pem"):
        file = folder / "secrets" / name
        file.write_text(f"{KEY if name == 'keys' else SECRET}\n")
        file.chmod(0o600)
    text = TOML.replace("{public_url}", public_url).replace("{environment}", environment)
    (folder / "vestibule.toml").write_text(text)
    (folder / "vestibule.toml").chmod(0o644)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def development(tmp_path: Path) -> Path:
    write(tmp_path, environment="development")
    return tmp_path


def check(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Status of `config check` and what it says, in this process: there are many cases."""
    file = folder / "vestibule.toml"
    try:
        load_settings(file, environ=environ or {})
    except ConfigurationError as error:
        return 2, str(error)
    return 0, "\n".join(str(problem) for problem in weak_secret_files(file, environ=environ or {}))


def test_fm_6_the_front_door_starts_with_files_that_only_their_owner_can_read(folder: Path) -> None:
    assert check(folder) == (0, "")


@pytest.mark.parametrize("mode", [0o602, 0o606, 0o622, 0o666, 0o777])
@pytest.mark.parametrize(("key", "name"), PLACES.items())
def test_fm_6_the_front_door_does_not_start_with_a_world_writable_secret(
    folder: Path, key: str, name: str, mode: int
) -> None:
    (folder / "secrets" / name).chmod(mode)
    code, said = check(folder)
    assert code == 2
    assert f"vestibule.toml: {key}" in said
    assert f"everybody on this machine may change {folder / 'secrets' / name}; chmod 600" in said


@pytest.mark.parametrize("command", [("run",), ("doctor",), ("config", "check")], ids=" ".join)
def test_fm_6_every_command_that_uses_secrets_refuses_a_world_writable_one(
    folder: Path, command: tuple[str, ...]
) -> None:
    (folder / "secrets" / "keys").chmod(0o666)
    done = vestibule(*command, folder=folder)
    assert (done.returncode, "may change" in done.stderr) == (2, True)
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(("key", "name"), PLACES.items())
def test_fm_6_a_world_readable_secret_is_refused_in_production(folder: Path, key: str, name: str) -> None:
    (folder / "secrets" / name).chmod(0o644)
    code, said = check(folder)
    assert (code, SECRET in said) == (2, False)
    assert f"vestibule.toml: {key}" in said
    assert f"everybody on this machine may read {folder / 'secrets' / name}; chmod 600" in said


def test_fm_6_a_world_readable_secret_is_a_warning_in_development(development: Path) -> None:
    (development / "secrets" / "keys").chmod(0o644)
    code, said = check(development)
    assert code == 0
    assert "vestibule.toml: secrets.keys_file: everybody on this machine may read " in said
    done = vestibule("config", "check", folder=development)
    assert (done.returncode, "\nwarning: vestibule.toml: secrets.keys_file: " in done.stderr) == (0, True)
    (development / "secrets" / "keys").chmod(0o646)
    assert check(development)[0] == 2


def test_fm_6_a_secret_may_be_readable_by_a_dedicated_group(folder: Path) -> None:
    for mode in (0o440, 0o640):
        (folder / "secrets" / "keys").chmod(mode)
        assert check(folder) == (0, "")


def test_fm_6_a_group_writable_secret_is_a_warning(folder: Path) -> None:
    (folder / "secrets" / "keys").chmod(0o660)
    code, said = check(folder)
    assert (code, "the group that it belongs to may change" in said) == (0, True)


@pytest.mark.parametrize("mode", [0o777, 0o1777], ids=["plain", "sticky"])
def test_fm_6_a_secret_in_a_world_writable_folder_is_refused(folder: Path, mode: int) -> None:
    (folder / "secrets").chmod(mode)
    code, said = check(folder)
    assert code == 2
    assert f"may replace {folder / 'secrets' / 'keys'}, as they may write to the folder {folder / 'secrets'}" in said


def test_fm_6_a_secret_below_a_world_writable_folder_is_refused(folder: Path) -> None:
    folder.chmod(0o777)
    code, said = check(folder)
    folder.chmod(0o700)
    assert (code, f"write to the folder {folder}" in said) == (2, True)


def test_fm_6_a_link_to_a_world_readable_secret_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "keys").write_text(KEY)
    (elsewhere / "keys").chmod(0o666)
    (folder / "secrets" / "keys").unlink()
    (folder / "secrets" / "keys").symlink_to(elsewhere / "keys")
    code, said = check(folder)
    assert (code, f"may change {elsewhere / 'keys'}" in said) == (2, True)


def test_fm_6_a_link_in_a_world_writable_folder_is_refused_although_the_file_is_protected(folder: Path) -> None:
    open_folder = folder / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    (open_folder / "keys").symlink_to(folder / "secrets" / "keys")
    toml = folder / "vestibule.toml"
    toml.write_text(toml.read_text().replace('"secrets/keys"', '"open/keys"'))
    code, said = check(folder)
    assert (code, f"write to the folder {open_folder}" in said) == (2, True)


def test_fm_6_a_link_that_leads_out_of_a_runtime_folder_is_checked_at_its_target(folder: Path) -> None:
    credentials = folder / "credentials"
    credentials.mkdir()
    (folder / "secrets" / "keys").chmod(0o666)
    (credentials / "keys").symlink_to(folder / "secrets" / "keys")
    variables = {"CREDENTIALS_DIRECTORY": str(credentials), "VESTIBULE_SECRETS__KEYS_FILE": str(credentials / "keys")}
    code, said = check(folder, variables)
    assert (code, "may change" in said) == (2, True)


def test_fm_6_credentials_of_systemd_are_accepted_with_their_file_modes(folder: Path) -> None:
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "keys").write_text(KEY)
    (credentials / "keys").chmod(0o444)
    keys = {"VESTIBULE_SECRETS__KEYS_FILE": str(credentials / "keys")}
    assert check(folder, keys)[0] == 2
    named = {**keys, "CREDENTIALS_DIRECTORY": str(credentials)}
    assert check(folder, named)[0] == 0


def test_fm_6_a_folder_that_only_has_the_name_of_a_runtime_folder_is_not_trusted(folder: Path) -> None:
    variables = {"CREDENTIALS_DIRECTORY": str(folder / "secret"), "VESTIBULE_SECRETS__KEYS_FILE": "secrets/keys"}
    (folder / "secrets" / "keys").chmod(0o644)
    assert check(folder, variables)[0] == 2


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, as Kubernetes mounts one for the keys of a Secret."""
    folder = tmp_path / "mount"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def project(folder: Path) -> None:
    """What the kubelet writes: a folder named after the time, `..data` as a link to it, and a link for each key."""
    folder.chmod(0o1777)
    (folder / "..2026_01_31_09_15_02.123456789").mkdir()
    (folder / "..data").symlink_to("..2026_01_31_09_15_02.123456789")
    (folder / "..data" / "keys").write_text(KEY)
    (folder / "..data" / "keys").chmod(0o644)
    (folder / "keys").symlink_to("..data/keys")


def test_fm_6_the_front_door_starts_with_a_secret_mounted_by_kubernetes(folder: Path, mount: Path) -> None:
    project(mount)
    variables = {"VESTIBULE_SECRETS__KEYS_FILE": str(mount / "keys")}
    assert check(folder, variables)[0] == 0


def test_fm_6_files_like_those_of_kubernetes_without_a_mount_are_refused(folder: Path) -> None:
    (folder / "no-mount").mkdir()
    project(folder / "no-mount")
    variables = {"VESTIBULE_SECRETS__KEYS_FILE": str(folder / "no-mount" / "keys")}
    assert check(folder, variables)[0] == 2


def test_fm_6_the_mode_of_the_configuration_file_is_checked(folder: Path) -> None:
    toml = folder / "vestibule.toml"
    toml.chmod(0o646)
    code, said = check(folder)
    assert (code, f"vestibule.toml: everybody on this machine may change {toml}" in said) == (2, True)
    toml.write_text(toml.read_text().replace('admin_token_file = "secrets/admin"', f'admin_token = "{SECRET}"'))
    toml.chmod(0o644)
    code, said = check(folder)
    assert (code, "it holds a secret: chmod 600" in said) == (2, True)
    toml.chmod(0o600)
    assert check(folder) == (0, "")


@pytest.mark.parametrize("url", ["redis://:{}@127.0.0.1", "redis+sentinel://127.0.0.1/mine?sentinel_password={}"])
def test_fm_6_a_configuration_with_the_password_of_the_store_must_not_be_world_readable(folder: Path, url: str) -> None:
    toml = folder / "vestibule.toml"
    toml.write_text(f'{toml.read_text()}\n[store]\nurl = "{url.format(SECRET)}"\n')
    code, said = check(folder)
    assert (code, "it holds a secret: chmod 600" in said) == (2, True)


def test_fm_6_the_key_file_of_a_redis_client_is_checked_as_a_secret(folder: Path) -> None:
    key = folder / "redis.key"
    key.write_text("x")
    key.chmod(0o644)
    toml = folder / "vestibule.toml"
    toml.write_text(f'{toml.read_text()}\n[store]\nurl = "rediss://127.0.0.1/0?certificate_file=/x&key_file={key}"\n')
    code, said = check(folder)
    assert (code, f"store.url: everybody on this machine may read {key}" in said) == (2, True)
