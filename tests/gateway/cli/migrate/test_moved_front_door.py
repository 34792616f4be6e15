"""A front door with a moved configuration: the same people come in, and the application knows them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.gateway.cli.migrate.old_configurations import write_old
from tests.gateway.commands import vestibule
from tests.markdown import blocks_of
from tests.ports import free_port
from tests.repository import ROOT
from tests.security.nginx import running_nginx


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture(scope="module")
def application() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider, application: RecordingUpstream
) -> Iterator[str]:
    """The address of a front door that runs with a moved configuration."""
    folder, port = tmp_path_factory.mktemp("moved"), free_port()
    folder.chmod(0o755)
    file = write_old(
        folder,
        provider="oidc",
        oidc_issuer_url=provider.issuer,
        client_id=provider.client.client_id,
        client_secret=provider.client.client_secret,
        redirect_url=f"http://localhost:{port}/oauth2/callback",
        http_address=f"127.0.0.1:{port}",
        email_domains=["example.com"],
        upstreams=[f"{application.url}/"],
        skip_auth_routes=["GET=^/health$"],
        pass_access_token=True,
        cookie_secure=False,
    )
    done = vestibule("migrate", "oauth2-proxy", str(file), "--out", str(folder / "new"), folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    environ = {"VESTIBULE_SERVER__MANAGEMENT_BIND": f"127.0.0.1:{free_port()}"}
    running = CommandProcess(["run", "--config", str(folder / "new" / "vestibule.toml")], environ=environ)
    try:
        running.wait_for('"ready"')
        yield f"http://localhost:{port}"
    finally:
        running.stop()


@pytest.fixture(scope="module")
def behind_nginx(
    tmp_path_factory: pytest.TempPathFactory, provider: FakeProvider, application: RecordingUpstream
) -> Iterator[str]:
    """The address of a real nginx with the locations of the page, which asks a moved front door."""
    folder, own, asked = tmp_path_factory.mktemp("asked"), free_port(), free_port()
    folder.chmod(0o755)
    page = (ROOT / "docs" / "coming-from-oauth2-proxy.md").read_text(encoding="utf-8")
    lines = next(block.text for block in blocks_of(page) if block.language == "nginx")
    places = {"127.0.0.1:4180": f"127.0.0.1:{own}", "127.0.0.1:8001": f"127.0.0.1:{asked}"}
    places["http://127.0.0.1:8080"] = application.url
    for old, new in places.items():
        assert old in lines
        lines = lines.replace(old, new)
    lines = lines.replace("{", "{{").replace("}", "}}")
    with running_nginx(folder, f"server {{{{ listen 127.0.0.1:{{port}};\n{lines} }}}}") as port:
        options = {"redirect_url": f"http://localhost:{port}/oauth2/callback", "http_address": f"127.0.0.1:{own}"}
        options |= {"oidc_issuer_url": provider.issuer, "client_id": provider.client.client_id}
        file = write_old(
            folder,
            without=("upstreams",),
            **options,
            client_secret=provider.client.client_secret,
            reverse_proxy=True,
            set_xauthrequest=True,
            pass_access_token=True,
        )
        more = ("--out", str(folder / "new"), "--trusted-proxy", "127.0.0.1")
        done = vestibule("migrate", "oauth2-proxy", str(file), *more, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        environ = {
            "VESTIBULE_SERVER__MANAGEMENT_BIND": f"127.0.0.1:{free_port()}",
            "VESTIBULE_FORWARD_AUTH__BIND": f"127.0.0.1:{asked}",
        }
        running = CommandProcess(["run", "--config", str(folder / "new" / "vestibule.toml")], environ=environ)
        try:
            running.wait_for('"ready"')
            yield f"http://localhost:{port}"
        finally:
            running.stop()


def signed_in(browser: CookieClient, door: str, person: str) -> int:
    """Sign somebody in on the way to `/reports?year=2026`; the status of the page at the end."""
    pages = browser.walk(browser.get(f"{door}/reports?year=2026"))
    return browser.walk(browser.submit(pages[-1], f"#person-{person}"))[-1].status_code


def test_a_person_of_the_old_rule_comes_in_and_the_application_gets_the_headers_that_it_knows(
    door: str, application: RecordingUpstream
) -> None:
    with CookieClient() as browser:
        assert signed_in(browser, door, "alice") == 200
        browser.fetch(f"{door}/data", headers={"X-Forwarded-User": "mallory", "X-Forwarded-Access-Token": "forged"})
    page, data = application.requests_to("/reports")[-1], application.requests_to("/data")[-1]
    assert page.target.endswith(b"?year=2026")
    for request in (page, data):
        assert request.header("x-forwarded-email") == "alice@example.com"
        assert request.header("x-forwarded-user") not in ("", "mallory")
        assert (request.header("authorization") or "").startswith("Bearer ")
        assert not request.header("x-forwarded-access-token")


def test_nobody_else_comes_in(door: str, application: RecordingUpstream, provider: FakeProvider) -> None:
    provider.people["bob"].email = "bob@elsewhere.example"
    before = len(application.requests)
    with CookieClient() as browser:
        assert signed_in(browser, door, "bob") == 403
        assert browser.fetch(f"{door}/data").status_code == 403
    with CookieClient() as stranger:
        assert stranger.fetch(f"{door}/data").status_code == 401
    assert len(application.requests) == before


def test_the_open_path_and_nothing_else_is_open(door: str, application: RecordingUpstream) -> None:
    with CookieClient() as stranger:
        assert stranger.fetch(f"{door}/health").status_code == 200
        assert application.last.header("x-forwarded-user") == ""
        before = len(application.requests)
        assert stranger.fetch(f"{door}/health/x").status_code == 401
        assert stranger.fetch(f"{door}/health/").status_code == 401
        assert stranger.fetch(f"{door}/health", method="POST").status_code == 405
    assert len(application.requests) == before


@pytest.mark.component("nginx")
def test_nginx_with_the_lines_of_the_page_lets_the_same_people_in(
    behind_nginx: str, application: RecordingUpstream
) -> None:
    with CookieClient() as browser:
        assert signed_in(browser, behind_nginx, "alice") == 200
        browser.fetch(f"{behind_nginx}/data", headers={"X-User": "mallory", "Authorization": "Bearer forged"})
        assert browser.fetch(f"{behind_nginx}/auth/verify/nginx").status_code == 404
        assert browser.fetch(f"{behind_nginx}/oauth2/auth").status_code == 404
    assert application.requests_to("/reports")[-1].target.endswith(b"?year=2026")
    request = application.requests_to("/data")[-1]
    assert request.header("x-email") == "alice@example.com"
    assert request.header("x-user") == "alice"
    assert (request.header("authorization") or "").startswith("Bearer ey")


@pytest.mark.component("nginx")
def test_nginx_with_the_lines_of_the_page_lets_nobody_else_in(
    behind_nginx: str, application: RecordingUpstream, provider: FakeProvider
) -> None:
    provider.people["bob"].email = "bob@elsewhere.example"
    before = len(application.requests)
    with CookieClient() as browser:
        assert signed_in(browser, behind_nginx, "bob") == 403
    with CookieClient() as stranger:
        assert stranger.fetch(f"{behind_nginx}/data").status_code == 302
    assert len(application.requests) == before
