"""`vestibule sessions` and the management listener behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.sessions import as_lines
from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider
from tests.front_door import KEY
from tests.gateway.commands import vestibule
from tests.ports import free_port

TOKEN = "unit-test-admin-token-0123456789"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as fake:
        yield fake


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider) -> Path:
    port = free_port()
    path = tmp_path_factory.mktemp("door") / "vestibule.toml"
    path.write_text(
        f"""
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{free_port()}"
environment = "development"
[secrets]
keys = ["{KEY}"]
admin_token = "{TOKEN}"
[providers.corp]
issuer = "{provider.issuer}"
client_id = "{provider.client.client_id}"
client_secret = "{provider.client.client_secret}"
"""
    )
    return path


@pytest.fixture(scope="module")
def door(file: Path) -> Iterator[str]:
    process = CommandProcess(["run", "--config", str(file)])
    try:
        process.wait_for('"ready"')
        yield file.read_text().split('public_url = "')[1].split('"')[0]
    finally:
        process.stop()


def sessions(*arguments: str, file: Path) -> tuple[int, str]:
    """What `vestibule sessions …` says, on both outputs, without the line that names the configuration."""
    done = vestibule("sessions", *arguments, "--config", str(file), folder=file.parent)
    return done.returncode, done.stdout + done.stderr.replace(f"configuration: {file}\n", "")


def sign_in(door: str) -> CookieClient:
    browser = CookieClient()
    assert browser.walk(browser.get(door + "/"))[-1].status_code == 200
    return browser


def is_signed_in(browser: CookieClient, door: str) -> bool:
    return browser.fetch(door + "/auth/session").status_code == 200


def test_sessions_are_found_and_ended_one_by_one_and_all(door: str, file: Path) -> None:
    first, second = sign_in(door), sign_in(door)
    code, listed = sessions("list", "--sub", "alice", file=file)
    assert code == 0
    assert listed.count("alice@example.com") == 2
    one = listed.splitlines()[2].split()[0]
    code, said = sessions("revoke", "--sub", "alice", "--session", one, file=file)
    assert (code, said.strip()) == (0, "ended: 1")
    assert [is_signed_in(browser, door) for browser in (first, second)].count(True) == 1
    code, said = sessions("revoke", "--sub", "alice", file=file)
    assert (code, said.strip()) == (0, "ended: 1")
    assert not is_signed_in(first, door)
    assert not is_signed_in(second, door)
    third = sign_in(door)
    assert is_signed_in(third, door), "a later sign-in works"
    code, said = sessions("revoke", "--all", file=file)
    assert (code, said.strip()) == (0, "ended: all")
    assert not is_signed_in(third, door)
    for browser in (first, second, third):
        browser.close()


def test_the_running_front_door_shows_the_claims_of_a_real_sign_in(door: str, file: Path) -> None:
    with sign_in(door):
        code, said = sessions("claims", "--sub", "alice", file=file)
        assert code == 0
        assert "found    sub: alice (ID token" in said
        assert "found    roles at realm_access.roles" in said
        assert "found    access token: JWT" in said
        assert "eyJ" not in said
        one = sessions("list", "--sub", "alice", file=file)[1].splitlines()[1].split()[0]
        assert sessions("claims", "--sub", "alice", "--session", one, "--json", file=file)[1].startswith("[")
        bind = file.read_text().split('management_bind = "')[1].split('"')[0]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        raw = httpx.get(f"http://{bind}/admin/claims?sub=alice", headers=headers)
        assert raw.json()["arrived"]["sources"]["id_token"]["sub"] == "alice"
        assert "eyJ" not in raw.text
        assert httpx.get(f"http://{bind}/admin/claims?sub=alice").status_code == 401
        code, said = sessions("revoke", "--sub", "alice", file=file)
    assert sessions("claims", "--sub", "alice", file=file) == (
        1,
        "no session of that person; sign in at the front door first\n",
    )


def trial(file: Path) -> tuple[CommandProcess, str]:
    """Start `doctor --login` beside the running front door; return it and the link that it prints."""
    process = CommandProcess(["doctor", "--login", "--config", str(file)])
    process.wait_for("&check=")
    return process, re.findall(r"http\S+/auth/login\S+", process.output)[-1]


def test_doctor_signs_in_at_the_running_front_door_and_shows_what_arrived(door: str, file: Path) -> None:
    process, link = trial(file)
    with sign_in(door), CookieClient() as browser:  # somebody else signs in at the same time
        assert link.startswith(f"{door}/auth/login?")
        assert browser.walk(browser.get(link))[-1].status_code == 200
        assert process.wait() == 0
        assert is_signed_in(browser, door)
    said = process.output
    assert "The front door is running" in said
    assert f"{door}/auth/callback/corp" in said
    assert "worked" in said
    assert "found    sub: alice (ID token" in said
    assert "found    roles at realm_access.roles" in said
    assert "eyJ" not in said


def test_doctor_at_the_running_front_door_says_why_a_sign_in_failed(
    door: str, file: Path, provider: FakeProvider
) -> None:
    process, link = trial(file)
    provider.bend.id_token.claims(lambda claims: {**claims, "aud": "another-client"}, times=1)
    with CookieClient() as browser:
        assert browser.walk(browser.get(link))[-1].status_code == 400
    assert process.wait() == 1
    assert "failed: id_token_aud" in process.output
    assert "docs/errors.md#id_token_aud" in process.output


def test_a_trial_counts_the_sign_in_of_its_link_alone_and_needs_the_admin_token(door: str, file: Path) -> None:
    bind = file.read_text().split('management_bind = "')[1].split('"')[0]
    headers, url = {"Authorization": f"Bearer {TOKEN}"}, f"http://{bind}/admin/trial"
    begun = httpx.post(url, headers=headers, json={"provider": "corp"}).json()

    def ended() -> object:
        return httpx.get(url, headers=headers, params={"ticket": begun["ticket"]}).json()["ended"]

    with sign_in(door):
        assert ended() is None, "only the sign-in of the link counts"
    with CookieClient() as browser:
        browser.walk(browser.get(begun["link"]))
    first = ended()
    assert isinstance(first, dict)
    assert first["arrived"]["identity"]["sub"] == "alice"
    with CookieClient() as browser:
        assert browser.walk(browser.get(begun["link"]))[-1].status_code == 200
    assert ended() == first, "the link is a plain sign-in by now"
    for ticket in ("", "x", "a" * 43):
        assert httpx.get(url, headers=headers, params={"ticket": ticket}).status_code == 404
    assert httpx.post(url, headers=headers, json={"provider": "other"}).status_code == 400
    assert httpx.post(url, json={"provider": "corp"}).status_code == 401
    assert httpx.get(url, params={"ticket": begun["ticket"]}).status_code == 401
    assert httpx.get(f"{door}/auth/login?provider=corp&check={'a' * 43}").status_code == 302


def test_listing_sessions_needs_a_person(door: str, file: Path) -> None:
    code, said = sessions("list", file=file)
    assert code == 2
    assert "--sub" in said


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
@pytest.mark.usefixtures("door")
def test_the_management_listener_needs_the_admin_token(file: Path, header: dict[str, str]) -> None:
    bind = file.read_text().split('management_bind = "')[1].split('"')[0]
    response = httpx.get(f"http://{bind}/admin/sessions?sub=alice", headers=header)
    assert response.status_code == 401
    assert response.json()["code"] == "admin_token"


def test_admin_paths_answer_404_on_the_public_listener(door: str) -> None:
    for path in (
        "/admin/sessions?sub=alice",
        "/admin/claims?sub=alice",
        "/admin/routes",
        "/admin/trial?ticket=x",
        "/readyz",
        "/metrics",
        "/healthz",
    ):
        response = httpx.get(door + path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code in (401, 404), path


def test_an_unverified_email_is_marked_in_the_list() -> None:
    row = {"session": "a", "sub": "s-1", "provider": "corp", "device": "", "created_at": 0, "expires_at": 0}
    addresses = [("a@b", True), ("c@d", False), ("", False)]
    lines = as_lines([row | {"email": email, "email_verified": word} for email, word in addresses]).splitlines()
    persons = [re.split(r"  +", line)[1] for line in lines[1:]]
    assert persons == ["a@b", "c@d (not verified)", "s-1"]
