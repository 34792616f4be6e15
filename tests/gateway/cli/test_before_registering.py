"""`doctor` and `config show` before a person has registered: what to register, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.initialise import Wishes, initialise
from tests.fakes import FakeProvider
from tests.gateway.commands import vestibule

SECRET = "secrets/client-secret"
EMPTY = f"providers.idp.client_secret_file: {SECRET} is empty; put the secret that the provider issued into it"
REDIRECT = "http://localhost:8000/auth/callback/idp"


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path, provider: FakeProvider) -> Path:
    """A folder as `init` leaves it when the client secret is not known."""
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "app.py").write_text("")
    wishes = Wishes(issuer=provider.issuer, client_id="x", streamlit=str(tmp_path / "page" / "app.py"))
    initialise(wishes, folder=tmp_path / "settings")
    return tmp_path / "settings"


def test_the_doctor_prints_the_addresses_and_tries_the_provider(folder: Path) -> None:
    done = vestibule("doctor", folder=folder)
    assert done.returncode == 2
    assert REDIRECT in done.stdout
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("fault")] == [f"fault    {EMPTY}"]
    assert [line for line in lines if line.startswith("ok       providers.idp: discovery")]


def test_the_doctors_json_has_the_addresses_and_the_fault(folder: Path) -> None:
    done = vestibule("doctor", "--json", folder=folder)
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (2, False)
    assert report["register"][0]["redirect_uri"] == REDIRECT
    assert [f"{one['part']}: {one['message']}" for one in report["findings"] if one["level"] == "fault"] == [EMPTY]


@pytest.mark.parametrize("option", [(), ("--json",)], ids=["as TOML", "as JSON"])
def test_config_show_prints_the_values_and_aside_the_addresses_and_the_fault(
    folder: Path, option: tuple[str, ...]
) -> None:
    done = vestibule("config", "show", *option, folder=folder)
    assert done.returncode == 2
    assert "vestibule" in done.stdout
    assert "client_id" in done.stdout
    assert REDIRECT in done.stderr
    assert done.stderr.endswith(f"vestibule.toml: {EMPTY}\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("remove the file", "no file secrets/client-secret"),
        ("remove the key", "client_secret: missing"),
        ("take private_key_jwt", "client_key: missing"),
        ("write a broken key", "client_key: is not a PEM private key"),
        ("no UTF-8", "cannot be read: UnicodeDecodeError"),
    ],
)
def test_other_ways_of_having_no_credentials_show_the_addresses_too(folder: Path, change: str, said: str) -> None:
    file, secret = folder / "vestibule.toml", folder / SECRET
    given = f'client_secret_file = "{SECRET}"'
    match change:
        case "remove the file":
            secret.unlink()
        case "remove the key":
            file.write_text(file.read_text().replace(given, ""))
        case "take private_key_jwt":
            file.write_text(file.read_text().replace(given, 'client_auth = "private_key_jwt"'))
        case "write a broken key":
            secret.write_text("not a key")
            with_key = f'client_auth = "private_key_jwt"\nclient_key_file = "{SECRET}"'
            file.write_text(file.read_text().replace(given, with_key))
        case _:
            secret.write_bytes(b"\xff\xfe")
    for command in (("doctor",), ("config", "show")):
        done = vestibule(*command, folder=folder)
        assert done.returncode == 2
        assert REDIRECT in done.stdout + done.stderr
        assert said in done.stdout + done.stderr


def test_an_empty_variable_for_the_secret_is_named(folder: Path) -> None:
    variables = {"VESTIBULE_PROVIDERS__IDP__CLIENT_SECRET": ""}
    done = vestibule("doctor", folder=folder, variables=variables)
    assert done.returncode == 2
    assert REDIRECT in done.stdout
    assert "VESTIBULE_PROVIDERS__IDP__CLIENT_SECRET" in done.stdout


def test_a_fault_elsewhere_is_reported_together_with_the_missing_secret(folder: Path) -> None:
    file = folder / "vestibule.toml"
    file.write_text(file.read_text().replace('kit = "app"', 'kit = "nobody"'))
    done = vestibule("doctor", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert EMPTY in done.stderr
    assert "routes[0].kit" in done.stderr


def test_a_secret_that_everybody_can_replace_is_still_a_fault(folder: Path) -> None:
    (folder / SECRET).chmod(0o666)
    done = vestibule("doctor", folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"chmod 600 {folder / SECRET}" in done.stderr


@pytest.mark.parametrize("command", [("run",), ("config", "check"), ("doctor", "--login"), ("sessions", "list")])
def test_nothing_runs_without_the_secret(folder: Path, command: tuple[str, ...]) -> None:
    done = vestibule(*command, folder=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert EMPTY in done.stderr
