"""`deploy/keycloak/realm.json` in a real Keycloak: imported as it is, signed in to by Chromium, ended from its console.

Keycloak is too large to be fetched by a test run. If you have it unpacked (and Java), name its folder:
`KEYCLOAK_HOME=../keycloak-26.7.3 make test-long ARGS="-k keycloak"`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from bff.bearer import JWTBearer
from gateway.cli.doctor.checks import examine
from tests.e2e.conftest import PATIENCE_MILLISECONDS
from tests.fakes import RecordingUpstream
from tests.front_door import RunningDoor, api_route, page_route
from tests.ports import free_port
from tests.repository import ROOT

HOME = os.environ.get("KEYCLOAK_HOME", "")
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.component("chromium"),
    pytest.mark.skipif(not HOME, reason="KEYCLOAK_HOME names no unpacked Keycloak"),
]

SAMPLE_URL = "https://apps.example.com"
SECRET = "unit-test-keycloak-client-secret"
ADMIN = ("unit-test-admin", "unit-test-admin-password")
NEW_PASSWORD = "unit-test-New-Password-1"
LIFETIME = 5
START_SECONDS = 120


@dataclass(frozen=True)
class Keycloak:
    url: str

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/corp"

    def administer(self, method: str, path: str, **how: Any) -> httpx.Response:
        """A call of the administration API of this realm."""
        with httpx.Client(timeout=20) as http:
            granted = http.post(
                f"{self.url}/realms/master/protocol/openid-connect/token",
                data={
                    "grant_type": "password",
                    "client_id": "admin-cli",
                    "username": ADMIN[0],
                    "password": ADMIN[1],
                },
            )
            headers = {"Authorization": f"Bearer {granted.json()['access_token']}"}
            answer = http.request(method, f"{self.url}/admin/realms/corp{path}", headers=headers, **how)
            answer.raise_for_status()
            return answer


@pytest.fixture(scope="module")
def door_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def keycloak(door_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """A separate Keycloak with the realm. The public address is changed as the documentation says."""
    home = tmp_path_factory.mktemp("keycloak") / "home"
    shutil.copytree(HOME, home)
    imports = home / "data" / "import"
    imports.mkdir(parents=True)
    realm = (ROOT / "deploy" / "keycloak" / "realm.json").read_text(encoding="utf-8")
    assert realm.count(SAMPLE_URL) == 4, "docs/providers.md and the sample speak of four places"
    realm = realm.replace(SAMPLE_URL, f"http://localhost:{door_port}")
    realm = realm.replace('"accessTokenLifespan": 300', f'"accessTokenLifespan": {LIFETIME}')
    (imports / "realm.json").write_text(realm, encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    arguments = ["start-dev", "--import-realm", "--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={port}"]
    environ = {
        **os.environ,
        "VESTIBULE_CLIENT_SECRET": SECRET,
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN[0],
        "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN[1],
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [home / "bin" / "kc.sh", *arguments, f"--hostname={url}"],
            env=environ,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(url, process, home / "log")
        yield Keycloak(url)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client() as http:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with suppress(httpx.HTTPError):
                if http.get(f"{url}/realms/corp/.well-known/openid-configuration").status_code == 200:
                    return
            time.sleep(0.5)


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def door(keycloak: Keycloak, upstream: RecordingUpstream, door_port: int) -> Iterator[RunningDoor]:
    """The routes of `deploy/keycloak/vestibule.toml` before a recording upstream."""
    corp = {
        "issuer": keycloak.issuer,
        "client_id": "vestibule",
        "client_secret": SECRET,
        "roles_claim": "realm_access.roles",
        "groups_claim": "groups",
    }
    api = api_route(upstream, require={"roles_any": ["analyst"]}, token="access_token", audience="models-api")
    running = RunningDoor({"corp": corp}, [api, page_route(upstream)], port=door_port).start()
    try:
        yield running
    finally:
        running.stop()


def sign_in(tab: Page, door: RunningDoor, password: str) -> None:
    tab.goto(f"{door.url}/report?month=5")
    tab.locator("#username").fill("alice")
    tab.locator("#password").fill(password)
    tab.locator("#kc-login").click()


def session_of(tab: Page) -> dict[str, Any]:
    found = tab.evaluate("fetch('/auth/session').then(async answer => [answer.status, await answer.json()])")
    status, session = found
    return {"status": status, **session}


def wait_for_status(tab: Page, status: int, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while session_of(tab)["status"] != status:
        assert time.monotonic() < deadline, f"not {status} within {seconds} s"
        time.sleep(0.1)


def test_the_doctor_reports_no_error(door: RunningDoor) -> None:
    report = door.do(examine(door.settings))
    assert report.is_healthy(), report.as_text()


def test_a_session_works_beyond_the_life_of_its_tokens_and_can_be_ended_by_both_sides(
    tab: Page, door: RunningDoor, keycloak: Keycloak, upstream: RecordingUpstream
) -> None:
    sign_in(tab, door, "change-me-alice")
    tab.locator("#password-new").fill(NEW_PASSWORD)  # the realm's passwords must be changed at once
    tab.locator("#password-confirm").fill(NEW_PASSWORD)
    tab.locator("input[type=submit], button[type=submit]").first.click()
    tab.wait_for_url("**/report?month=5", timeout=PATIENCE_MILLISECONDS)

    session = session_of(tab)
    assert (session["status"], session["iss"], session["name"]) == (200, keycloak.issuer, "Alice Example")
    assert {"analyst", "admin"} <= set(session["roles"])
    assert session["groups"] == ["science"]

    sent = [call_api(tab, upstream)]
    time.sleep(LIFETIME + 1)
    sent.append(call_api(tab, upstream))
    assert sent[0] != sent[1], "the token was refreshed"
    bearer = JWTBearer(
        keycloak.issuer,
        "models-api",
        jwks_url=f"{keycloak.issuer}/protocol/openid-connect/certs",
        token_types=("at+jwt", "jwt"),
        roles_claim="realm_access.roles",
    )
    claims = door.do(bearer.verify(sent[1]))
    assert claims.claims["preferred_username"] == "alice"
    assert claims.has_role("analyst")

    (alice,) = keycloak.administer("GET", "/users?username=alice").json()
    keycloak.administer("POST", f"/users/{alice['id']}/logout")
    wait_for_status(tab, 401, seconds=2)

    sign_in(tab, door, NEW_PASSWORD)
    tab.wait_for_url("**/report?month=5", timeout=PATIENCE_MILLISECONDS)
    tab.goto(f"{door.url}/auth/logout")
    tab.locator("#sign-out").click()
    tab.wait_for_url("**/auth/logged-out**", timeout=PATIENCE_MILLISECONDS)
    tab.locator("#sign-in").click()
    expect(tab.locator("#kc-login")).to_be_visible()  # Keycloak's own session is over too


def call_api(tab: Page, upstream: RecordingUpstream) -> str:
    """The bearer token that one call of the page's script arrived with."""
    upstream.clear()
    assert tab.evaluate("fetch('/api/predict').then(answer => answer.status)") == 200
    (request,) = upstream.requests
    return (request.header("authorization") or "").removeprefix("Bearer ")
