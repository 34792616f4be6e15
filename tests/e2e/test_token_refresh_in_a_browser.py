"""A tab that stays open longer than its access tokens: the gateway refreshes them and the page goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.demo_process import ROOT, CommandProcess
from tests.fakes import FakeProvider
from tests.front_door import KEY, KIT_SECRET
from tests.ports import free_port

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(150)]
LIFETIME = 5
PATIENCE_SECONDS = 90
AUDIENCE = "models-api"

CONFIGURATION = """
[server]
public_url = "http://localhost:{port}"
bind = "127.0.0.1:{port}"
management_bind = "127.0.0.1:{management}"
environment = "development"

[secrets]
keys = ["{key}"]

[providers.corp]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
client_auth = "{client_auth}"

[kit_clients.dashboards]
secret = "{kit_secret}"
routes = ["api"]

[[routes]]
id = "api"
path = "/api/"
upstream = "http://127.0.0.1:{api}"
strip_prefix = true
kind = "api"
token = "access_token"

[[routes]]
id = "dashboards"
path = "/"
upstream = "streamlit:{app}"
kit = "dashboards"
"""


@contextmanager
def science_api(port: int, issuer: str) -> Iterator[None]:
    """The demo's API, trusting the provider's own access tokens."""
    environ = {
        **os.environ,
        "VESTIBULE_JWT__ISSUER": issuer,
        "VESTIBULE_JWT__AUDIENCE": AUDIENCE,
        "VESTIBULE_JWT__JWKS_URL": f"{issuer}/jwks",
        "VESTIBULE_JWT__LEEWAY": "0",
    }
    arguments = ["api:app", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen([sys.executable, "-m", "uvicorn", *arguments], cwd=ROOT / "deploy" / "demo", env=environ)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(
    "refreshes", [2, pytest.param(8, marks=pytest.mark.long)], ids=lambda refreshes: f"{refreshes} refreshes"
)
def test_a_tab_that_keeps_calling_goes_on_after_its_tokens_expire(tab: Page, tmp_path: Path, refreshes: int) -> None:
    port, api = free_port(), free_port()
    file = tmp_path / "vestibule.toml"
    with FakeProvider(access_token_lifetime=LIFETIME) as provider:
        provider.options.access_token_audience = AUDIENCE
        file.write_text(
            CONFIGURATION.format(
                port=port,
                management=free_port(),
                key=KEY,
                issuer=provider.issuer,
                client_id=provider.client.client_id,
                client_secret=provider.client.client_secret,
                client_auth=provider.client.auth_method,
                kit_secret=KIT_SECRET,
                api=api,
                app=ROOT / "deploy" / "demo" / "app.py",
            )
        )
        door = CommandProcess(["run", "--config", str(file)])
        try:
            with science_api(api, provider.issuer):
                door.wait_for("ready")
                tab.goto(f"http://localhost:{port}/whoami?watch=true")
                tab.locator("#person-alice").click()
                expect(tab.get_by_text("0 failures")).to_be_visible(timeout=30_000)
                began = time.monotonic()
                while len(provider.grants("refresh_token")) < refreshes:
                    assert time.monotonic() - began < PATIENCE_SECONDS
                    tab.wait_for_timeout(500)
                    expect(tab.get_by_text("0 failures")).to_be_visible()
                tab.wait_for_timeout(1_500)  # a call or two with the last token
                expect(tab.get_by_text("0 failures")).to_be_visible()
        finally:
            door.stop()
        assert not provider.reuse_detected
        # A token is not used in its last second. It is renewed a fifth of the rest before that, and only once.
        soonest = (LIFETIME - 1) * 0.8
        grants = [*provider.grants("authorization_code"), *provider.grants("refresh_token")]
        assert min(later.at - earlier.at for earlier, later in pairwise(grants)) > soonest * 0.9
