"""The nginx lines that oauth2-proxy publishes work unchanged before a front door with a moved configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.demo_process import CommandProcess
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.gateway.cli.migrate.old_configurations import write_old
from tests.gateway.commands import vestibule
from tests.ports import free_port
from tests.security.certificates import make_authority
from tests.security.old_recipe import URL, browser_at, nginx_as_published

pytestmark = pytest.mark.component("nginx")


@pytest.fixture
def application() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as upstream:
        yield upstream


@pytest.fixture
def browser(tmp_path: Path, application: RecordingUpstream) -> Iterator[CookieClient]:
    """A browser before the published nginx, which asks a front door in production."""
    tmp_path.chmod(0o755)
    authority, door = make_authority(tmp_path), free_port()
    with ExitStack() as stack:
        provider = stack.enter_context(FakeProvider(auto_login="alice", tls=authority.issue("127.0.0.1")))
        registered = f"{URL}/oauth2/callback"
        provider.client.redirect_uris = [registered]
        file = write_old(
            tmp_path,
            without=("upstreams",),
            oidc_issuer_url=provider.issuer,
            client_id=provider.client.client_id,
            client_secret=provider.client.client_secret,
            redirect_url=registered,
            provider_ca_files=[str(authority.ca_file)],
            http_address=f"127.0.0.1:{door}",
            reverse_proxy=True,
            set_xauthrequest=True,
            pass_access_token=True,
        )
        more = ("--trusted-proxy", "127.0.0.1", "--out", str(tmp_path / "new"))
        done = vestibule("migrate", "oauth2-proxy", str(file), *more, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        environ = {
            "VESTIBULE_SERVER__MANAGEMENT_BIND": f"127.0.0.1:{free_port()}",
            "VESTIBULE_FORWARD_AUTH__BIND": f"127.0.0.1:{free_port()}",
        }
        running = CommandProcess(["run", "--config", str(tmp_path / "new" / "vestibule.toml")], environ=environ)
        stack.callback(running.stop)
        running.wait_for('"ready"')
        certificate = authority.issue("apps.localhost")
        port = stack.enter_context(
            nginx_as_published(tmp_path, door=door, backend=application.port, certificate=certificate)
        )
        yield stack.enter_context(browser_at(port, ca_file=authority.ca_file))


def test_a_person_signs_in_by_the_redirect_uri_that_was_registered_and_no_token_is_public(
    browser: CookieClient, application: RecordingUpstream
) -> None:
    assert browser.fetch(f"{URL}/programs/x").status_code == 401
    pages = browser.walk(browser.get(f"{URL}/report?year=2026"))
    assert (pages[-1].status_code, str(pages[-1].url)) == (200, f"{URL}/report?year=2026")
    assert application.last.header("x-user") == "alice"
    assert application.last.header("x-email") == "alice@example.com"
    assert application.last.header("x-access-token") is None
    assert browser.fetch(f"{URL}/programs/x").status_code == 200
    answer = browser.fetch(f"{URL}/oauth2/auth")
    assert answer.status_code == 202
    assert "authorization" not in answer.headers
