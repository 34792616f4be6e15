"""A person with 200 groups in a real Chromium: a managed page that sees them all, an API that decides by them, and a
sign-out that the provider hears."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.demo_process import ROOT, CommandProcess
from tests.fakes import FakeProvider
from tests.front_door import KEY
from tests.ports import free_port
from tests.security.many_groups import GROUPS, many_groups

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(150)]

PAGE = """
import json
import streamlit as st
import streamlit_kit as kit

person = kit.require_login()
st.markdown(f"groups: {len(person.groups)}, last: {person.groups[-1]}")
answer = kit.prepare_client("api").get("member")
st.markdown(f"api: {answer.status_code} {answer.text}")
kit.logout_button("Leave")
"""
API = """
import os
from typing import Annotated

from fastapi import Depends, FastAPI

from bff.bearer import JWTBearer, RequireGroups, StandardClaims

bearer = JWTBearer.from_env()
app = FastAPI()


@app.get("/member")
async def member(caller: Annotated[StandardClaims, Depends(RequireGroups(bearer, os.environ["WANTED"]))]) -> int:
    return len(caller.groups)
"""
CONFIGURATION = """
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
internal_hosts = ["127.0.0.1:{port}"]
environment = "development"

[secrets]
keys = ["{key}"]

[providers.corp]
issuer = "{provider.issuer}"
client_id = "{provider.client.client_id}"
client_secret = "{provider.client.client_secret}"
client_auth = "{provider.client.auth_method}"

[kit_clients.pages]
secret = "unit-test-kit-secret-of-pages"
routes = ["api"]

[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:{api}"
strip_prefix = true
token = "assertion"
audience = "reports"

[[routes]]
id = "pages"
path = "/"
upstream = "streamlit:app.py"
streamlit = {{ cwd = "{app}" }}
kit = "pages"
"""


@dataclass(frozen=True)
class Door:
    """`vestibule run` with a managed page, and an API beside it."""

    url: str
    provider: FakeProvider
    process: CommandProcess


@contextmanager
def api_running(folder: Path, port: int, environ: Mapping[str, str]) -> Iterator[None]:
    """The API in a process of its own."""
    (folder / "reports.py").write_text(API)
    arguments = ["reports:app", "--app-dir", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "uvicorn", *arguments, "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environ})
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    app, settings, port, api = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("door"), free_port(), free_port()
    (app / "app.py").write_text(PAGE)
    environ = {
        "VESTIBULE_JWT__ISSUER": f"http://localhost:{port}",
        "VESTIBULE_JWT__AUDIENCE": "reports",
        "VESTIBULE_JWT__JWKS_URL": f"http://127.0.0.1:{port}/auth/jwks.json",
        "WANTED": GROUPS[-1],
    }
    with FakeProvider(auto_login="alice") as provider, api_running(tmp_path_factory.mktemp("api"), api, environ):
        back = f"http://localhost:{port}/auth/logged-out"
        provider.client.post_logout_redirect_uris.append(back)
        file = settings / "vestibule.toml"
        file.write_text(
            CONFIGURATION.format(port=port, management=free_port(), key=KEY, provider=provider, api=api, app=app)
        )
        file.chmod(0o600)
        process = CommandProcess(["run", "--config", str(file)])
        try:
            process.wait_for('"ready"')
            yield Door(f"http://localhost:{port}", provider, process)
        finally:
            process.stop()


def test_a_page_sees_all_groups_and_the_api_uses_them_for_its_decision(tab: Page, door: Door) -> None:
    with many_groups(door.provider):
        tab.goto(door.url + "/")
        expect(tab.get_by_text(f"groups: 200, last: {GROUPS[-1]}")).to_be_visible()
    expect(tab.get_by_text("api: 200 200")).to_be_visible()


def test_a_page_can_open_its_socket_with_a_long_cookie_line(tab: Page, door: Door) -> None:
    with many_groups(door.provider, [GROUPS[-1]]):
        tab.goto(door.url + "/")
        expect(tab.get_by_text("groups: 1,")).to_be_visible()
    cookies: Any = [{"name": f"_streamlit_{number}", "value": "x" * 3_000, "url": door.url} for number in range(6)]
    tab.context.add_cookies(cookies)
    tab.reload()
    expect(tab.get_by_text("groups: 1,")).to_be_visible()


def test_a_sign_out_with_a_long_id_token_reaches_the_provider_and_returns(tab: Page, door: Door) -> None:
    with many_groups(door.provider):
        tab.goto(door.url + "/")
        expect(tab.get_by_text("groups: 200")).to_be_visible()
    refused: list[str] = []
    tab.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    door.provider.clear_hits()
    tab.get_by_role("button", name="Leave").click()
    tab.wait_for_url("**/auth/logged-out**")
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    hits = door.provider.hits_of("end_session")
    assert [hit.method for hit in hits] == ["POST"]
    assert len(hits[0].form["id_token_hint"]) > 8_000
    assert door.provider.logins("alice")[-1].ended
    assert not [text for text in refused if "Content Security Policy" in text]
