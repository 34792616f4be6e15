"""docs/behind-nginx.md, followed line by line: its file, `vestibule run`, nginx with the file of `deploy/`."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import components
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import KEY
from tests.markdown import blocks_of
from tests.ports import free_port, free_ports
from tests.proxies.deployed import HOST, Places, adapt
from tests.proxies.starters import NGINX
from tests.repository import ROOT
from tests.security.certificates import make_authority

PAGE = ROOT / "docs" / "behind-nginx.md"
pytestmark = pytest.mark.component("nginx")


def configuration(folder: Path, provider: FakeProvider, places: Places) -> Path:
    """Write the page's `vestibule.toml` with the ports and the provider of the test."""
    (block,) = (block for block in blocks_of(PAGE.read_text(encoding="utf-8")) if block.language == "toml")
    source = folder / "documented.toml"
    source.write_text(block.text, encoding="utf-8")
    text = source.read_text(encoding="utf-8")
    for old, new in {
        "https://apps.example.com": f"https://{HOST}:{places.proxy}",
        "127.0.0.1:8000": f"127.0.0.1:{places.door}",
        "127.0.0.1:8001": f"127.0.0.1:{places.verify}",
        "https://idp.example.com/realms/corp": provider.issuer,
        'client_id = "vestibule"': f'client_id = "{provider.client.client_id}"',
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    file = folder / "vestibule.toml"
    file.write_text(text, encoding="utf-8")
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o700)
    for name, value in {"keys": KEY, "client-secret": provider.client.client_secret}.items():
        (secrets / name).write_text(value, encoding="utf-8")
        (secrets / name).chmod(0o600)
    return file


@contextmanager
def running(file: Path, *, management: int) -> Iterator[None]:
    """`vestibule run` with this file, until the block ends."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VESTIBULE_")} | {
        "VESTIBULE_SERVER__ENVIRONMENT": "development",  # the provider of the test speaks plain http
        "VESTIBULE_SERVER__MANAGEMENT_BIND": f"127.0.0.1:{management}",
    }
    command = [str(Path(sys.executable).parent / "vestibule")]
    check = subprocess.run([*command, "config", "check", "--config", file], env=environ, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout + check.stderr
    with (file.parent / "run.log").open("wb") as log:
        door = subprocess.Popen([*command, "run", "--config", file], env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while door.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"http://127.0.0.1:{management}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            pytest.fail((file.parent / "run.log").read_text(encoding="utf-8"))
        yield
    finally:
        door.terminate()
        door.wait(20)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, CookieClient, Any, Any]]:
    """The address, a browser, the application and the API of a deployment that follows the page."""
    components.require("nginx")
    folder = tmp_path_factory.mktemp("behind-nginx")
    authority = make_authority(folder)
    certificate, key = authority.issue(HOST)
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    front, door, verify = free_ports(3)
    with FakeProvider(auto_login="alice") as provider, RecordingUpstream() as web, RecordingUpstream() as api:
        ports = {"web": int(web.url.rpartition(":")[2]), "api": int(api.url.rpartition(":")[2])}
        places = Places(proxy=front, door=door, verify=verify, certificate=certificate, key=key, folder=folder, **ports)
        file = configuration(folder, provider, places)
        with running(file, management=free_port()), NGINX.start(places), CookieClient(verify=trust) as browser:
            yield f"https://{HOST}:{front}", browser, web, api


def test_what_the_page_says_happens(followed: tuple[str, CookieClient, Any, Any]) -> None:
    url, browser, web, api = followed
    pages = browser.walk(browser.get(f"{url}/report?x=1"))
    assert str(pages[-1].url) == f"{url}/report?x=1"
    assert web.last.header("x-auth-request-user") == "alice"
    assert web.last.header("x-auth-request-email") == "alice@example.com"
    refused = browser.get(f"{url}/admin")
    assert refused.status_code == 403
    assert "with the role chief" in refused.text
    assert browser.fetch(f"{url}/api/models").status_code == 200
    assert (api.last.header("authorization") or "").startswith("Bearer ey")
    browser.get(f"{url}/public", headers={"X-Auth-Request-User": "somebody"})
    assert (web.last.header("x-auth-request-user") or "") == ""
    assert browser.get(f"{url}/auth/verify").status_code == 404
    browser.post(f"{url}/auth/logout")
    signed_out = browser.fetch(f"{url}/api/models")
    assert signed_out.status_code == 401
    assert json.loads(signed_out.text)["login_url"].startswith("/auth/login")
    assert browser.get(f"{url}/report?x=1").status_code == 302


def test_adapting_a_file_fails_on_a_value_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"no longer holds '127\.0\.0\.1:1'"):
        adapt(ROOT / "deploy" / "nginx" / "forward-auth.conf", {"127.0.0.1:1": "x"})
