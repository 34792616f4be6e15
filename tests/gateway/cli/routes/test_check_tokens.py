"""Which token an allowed request takes along, and public addresses below a path: `vestibule routes check`."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.gateway.commands import vestibule

SETTINGS = f"""
[server]
public_url = "https://apps.example.com/inside"
public_health = true
[secrets]
keys = ["{secrets.token_urlsafe(32)}"]
[providers.corp]
issuer = "https://idp.invalid/realm/"
backchannel_url = "https://10.0.0.9:8443"
client_id = "x"
client_secret = "canary-client-secret"
profile = "keycloak"
[[routes]]
id = "exchanged"
path = "/exchanged"
upstream = "http://127.0.0.1:9"
token = "exchange"
exchange = {{ audience = "canary-audience" }}
[[routes]]
id = "service"
path = "/service"
auth = "public"
upstream = "http://127.0.0.1:9"
token = "client_credentials"
provider = "corp"
[[routes]]
id = "id-token"
path = "/id-token"
upstream = "unix:/run/app.sock"
token = "id_token"
[[routes]]
id = "own"
path = "/own"
auth = "public"
upstream = "http://127.0.0.1:9"
[[routes]]
id = "remote"
path = "/remote"
upstream = "http://127.0.0.1:9"
identity_headers = "remote"
claim_headers = {{ "X-Department" = "department" }}
groups_forwarded = ["sci-*"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vestibule.toml").write_text(SETTINGS)
    (tmp_path / "vestibule.toml").chmod(0o600)
    (tmp_path / "eve.json").write_text('{"sub": "eve", "department": "\u00e4", "groups": ["sci-a", "ops"]}')
    return tmp_path


def check(folder: Path, *arguments: str) -> tuple[int, str]:
    done = vestibule("routes", "check", *arguments, folder=folder)
    return done.returncode, done.stdout + (done.stderr if done.returncode == 2 else "")


TOKENS = {
    "exchanged": (
        ("/exchanged", "--sub", "eve"),
        "authorization: Bearer (a token exchanged for the person's access token)",
    ),
    "a service token": (("/service",), "authorization: Bearer (the front door's own service token)"),
    "the ID token": (("/id-token", "--sub", "eve"), "authorization: Bearer (the person's ID token)"),
    "the client's own": (("/own", "--machine", "--sub", "ci"), "authorization: Bearer (the client's own, as it came)"),
    "groups that may go out": (("/remote", "--as", "eve.json"), "remote-groups: sci-a\n"),
    "a claim": (("/remote", "--as", "eve.json"), "x-department: %C3%A4\n"),
}


@pytest.mark.parametrize(("arguments", "said"), TOKENS.values(), ids=TOKENS)
def test_the_token_and_the_headers_are_described(arguments: tuple[str, ...], said: str, folder: Path) -> None:
    code, text = check(folder, "GET", *arguments)
    assert code == 0, text
    assert said in text + "\n"
    assert "canary" not in text
    assert "offline-token" not in text


def test_a_path_alone_is_below_the_public_url(folder: Path) -> None:
    _, text = check(folder, "GET", "/remote", "--sub", "eve")
    assert text.startswith("GET apps.example.com/inside/remote\n")
    assert "path      /remote, as below https://apps.example.com/inside: " in text


def test_an_address_outside_of_the_public_path_is_not_found(folder: Path) -> None:
    code, text = check(folder, "GET", "https://apps.example.com/remote", "--sub", "eve")
    assert code == 1
    assert "no  path      /remote is outside of https://apps.example.com/inside" in text
    assert "refused: 404 not_found" in text


def test_an_ambiguous_path_below_the_public_path_names_both_routes(folder: Path) -> None:
    code, text = check(folder, "GET", "/REMOTE", "--sub", "eve")
    assert code == 1
    assert "One reading is '/remote', which leads to the route remote, and this address to no route\n" in text


def test_the_health_of_the_front_door_is_its_own_answer(folder: Path) -> None:
    code, text = check(folder, "GET", "/healthz")
    assert code == 0
    assert "the front door answers, no route gets this" in text


@pytest.mark.parametrize("path", ["/oauth2/auth", "/oauth2/x"])
def test_reserved_names_belong_to_no_route(path: str, folder: Path) -> None:
    code, text = check(folder, "GET", path, "--sub", "eve")
    assert code == 1
    assert "no  route     /oauth2 is reserved; no route gets it" in text
    assert "refused: 404 not_found" in text


def test_names_of_oauth2_proxy_are_the_front_doors_own(folder: Path) -> None:
    text = (folder / "vestibule.toml").read_text()
    (folder / "vestibule.toml").write_text(text + "[compat]\noauth2_proxy = true\n")
    code, text = check(folder, "GET", "/oauth2/start", "--sub", "eve")
    assert code == 0
    assert "compat.oauth2_proxy: /oauth2 has the names of oauth2-proxy; no route gets them" in text
