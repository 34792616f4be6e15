"""`vestibule doctor --through` as a command: options, exit codes, JSON, and addresses that are not this door's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gateway.cli.doctor.through.fixes import FIXES, body_fix, fix
from tests.front_door import KEY
from tests.gateway.cli.doctor.through.proxied_door import SECRET, Proxied, proxied_door
from tests.gateway.commands import vestibule, vestibule_process
from tests.security.certificates import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def configured(folder: Path, url: str) -> None:
    """Write what the command needs of the running door's configuration."""
    (folder / "vestibule.toml").write_text(f"""
[server]
public_url = "{url}"
environment = "development"
trusted_proxies = ["127.0.0.1/32"]
trusted_proxy_secret = "{SECRET}"
[secrets]
keys = ["{KEY}"]
[providers.corp]
issuer = "https://idp.invalid"
client_id = "x"
client_secret = "unit-test-client-secret"
[[routes]]
id = "pages"
kind = "page"
upstream = "http://127.0.0.1:9"
""")
    (folder / "vestibule.toml").chmod(0o600)


def arguments(door: Proxied) -> list[str]:
    return [
        *("doctor", "--through", door.url, "--ca-file", str(door.ca_file)),
        *("--http-port", str(door.http_port), "--quiet-seconds", "0"),
    ]


@pytest.mark.component("nginx")
def test_the_command_reports_and_exits_with_0_and_with_a_fault_with_1(authority: Authority, tmp_path: Path) -> None:
    with proxied_door(tmp_path, authority) as door:
        configured(tmp_path, door.url)
        done = vestibule_process(*arguments(door), "--strict", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "ok       client: 127.0.0.1; a forged X-Forwarded-For is gone\n" in done.stdout
    with proxied_door(tmp_path, authority, edits={"proxy_buffering off;": ""}) as door:
        configured(tmp_path, door.url)
        done = vestibule_process(*arguments(door), "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert [one["part"] for one in found["findings"] if one["level"] == "fault"] == ["answers"]
    assert SECRET not in done.stdout
    assert KEY not in done.stdout


def test_another_address_than_those_of_the_door_exits_with_2(tmp_path: Path) -> None:
    configured(tmp_path, "https://localhost:8443")
    done = vestibule("doctor", "--through", "https://elsewhere.example", folder=tmp_path)
    assert done.returncode == 2
    assert "not an address of this front door; these are: https://localhost:8443" in done.stderr


def test_a_file_of_the_authority_that_does_not_exist_exits_with_2(tmp_path: Path) -> None:
    configured(tmp_path, "https://localhost:8443")
    done = vestibule("doctor", "--through", "https://localhost:8443", "--ca-file", "none.pem", folder=tmp_path)
    assert done.returncode == 2
    assert "--ca-file none.pem cannot be read" in done.stderr


def test_from_outside_and_a_sign_in_are_two_commands(tmp_path: Path) -> None:
    configured(tmp_path, "https://localhost:8443")
    done = vestibule("doctor", "--through", "https://localhost:8443", "--login", folder=tmp_path)
    assert done.returncode == 2


def test_nothing_at_the_address_is_a_fault_of_one_line(tmp_path: Path) -> None:
    configured(tmp_path, "https://localhost:9")
    done = vestibule("doctor", "--through", "https://localhost:9", folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith("fault    address: https://localhost:9: no connection")


def test_every_fix_names_nginx_first_and_is_one_line() -> None:
    values = {"host": "apps.example.com", "auth": "/auth", "bind": "127.0.0.1:8000"}
    for fault in FIXES:
        line = fix(fault, **values)
        assert line.startswith("nginx: "), fault
        assert not re.search(r"\n|\{\{", line), fault


def test_the_size_of_a_body_is_rounded_up_to_whole_mebibytes() -> None:
    assert "client_max_body_size 200m;" in body_fix(209_715_200)
    assert "client_max_body_size 11m;" in body_fix(10_485_761)
