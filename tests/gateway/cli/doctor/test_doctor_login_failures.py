"""`vestibule doctor --login` when something goes wrong, who may use its listener, and the command itself."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bff.settings.loading import parse_settings
from gateway.cli.doctor.fixes import fix_for, kind_of
from gateway.faults import CommandFault, UsageFault
from tests.fakes import CookieClient, FakeProvider, bind_socket
from tests.gateway.cli.doctor.trials import KEY, LINK, settings_for, tables_for, trial, walk
from tests.gateway.commands import environment, vestibule


async def test_an_invalid_id_token_ends_the_trial_sign_in_with_its_error_code(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"aud": "another"})
    report, page = await trial(settings_for(provider, free_port))
    assert report.fault.startswith("id_token_aud")
    assert "docs/errors.md#id_token_aud" in report.fault
    assert not report.is_healthy()
    assert "id_token_aud" in page


async def test_an_untrusted_audience_is_reported_with_its_setting(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"aud": [claims["aud"], "271828"]})
    report, page = await trial(settings_for(provider, free_port))
    assert "id_token_aud (also meant for 271828; if that is right, add it to trusted_audiences)" in report.fault
    assert "271828" not in page
    provider.bend.id_token.claims(lambda claims: claims | {"azp": provider.client.client_id})
    corp = {"trusted_audiences": ["271828"]}
    report, _ = await trial(settings_for(provider, free_port, corp=corp))
    assert report.is_healthy()


async def test_a_wrong_client_secret_ends_the_trial_sign_in(provider: FakeProvider, free_port: int) -> None:
    corp = {"client_secret": "another-secret-altogether", "par": "off"}
    report, _ = await trial(settings_for(provider, free_port, corp=corp))
    assert report.fault.startswith("token_refused (invalid_client)")


async def test_a_refusal_by_the_provider_ends_the_trial_sign_in(provider: FakeProvider, free_port: int) -> None:
    provider.options.auto_login = ""

    def cancel(browser: CookieClient, link: str) -> None:
        browser.walk(browser.submit(browser.walk(browser.get(link))[-1], "#cancel"))

    report, _ = await trial(settings_for(provider, free_port), cancel)
    assert report.fault.startswith("the provider refused (access_denied)")


async def test_a_provider_that_is_down_is_reported_before_anybody_is_asked_to_sign_in(
    provider: FakeProvider, free_port: int
) -> None:
    provider.stop()
    report, visited = await trial(settings_for(provider, free_port))
    assert report.fault.startswith("provider_unreachable")
    assert visited is None


async def test_the_trial_sign_in_ends_after_a_timeout_when_nobody_comes_back(
    provider: FakeProvider, free_port: int
) -> None:
    settings = settings_for(provider, free_port, limits={"login_seconds": 0.3})
    report, _ = await trial(settings, lambda browser, link: None)
    assert "nobody came back" in report.fault


async def test_the_error_for_a_port_in_use_names_the_front_door_and_the_fix(provider: FakeProvider) -> None:
    taken = bind_socket("127.0.0.1")
    taken.listen()
    port = taken.getsockname()[1]
    with (
        taken,
        pytest.raises(CommandFault, match=r"front door runs there, set.*admin_token.*loopback"),
    ):
        await trial(settings_for(provider, port))


async def test_a_missing_certificate_is_an_error_without_a_traceback(provider: FakeProvider, free_port: int) -> None:
    server = {
        "public_url": f"https://localhost:{free_port}",
        "bind": f"127.0.0.1:{free_port}",
        "tls": {"certificate_file": "no-such.pem", "key_file": "no-such.pem"},
    }
    with pytest.raises(CommandFault, match=r"server\.tls"):
        await trial(settings_for(provider, free_port, server=server))


async def test_with_several_providers_one_must_be_chosen(provider: FakeProvider, free_port: int) -> None:
    tables = tables_for(provider, free_port)
    tables["providers"]["partners"] = tables["providers"]["corp"]
    settings = parse_settings(tables)
    with pytest.raises(UsageFault, match="corp, partners"):
        await trial(settings)
    with pytest.raises(UsageFault, match=r"no \[providers\.nobody\]"):
        await trial(settings, provider="nobody")
    report, _ = await trial(settings, provider="partners")
    assert report.redirect_uri == f"http://localhost:{free_port}/auth/callback/partners"
    assert report.fault == ""


async def test_the_trial_sign_in_starts_only_with_the_printed_link(provider: FakeProvider, free_port: int) -> None:
    door = f"http://localhost:{free_port}"

    def try_around(browser: CookieClient, link: str) -> list[int]:
        paths = ("/", "/auth/login", "/auth/login?check=", "/auth/login?provider=corp&check=x", "/auth/session")
        refused = [browser.get(door + path).status_code for path in (*paths, "/auth/jwks.json", "/auth/callback/other")]
        walk(browser, link)
        return refused

    report, statuses = await trial(settings_for(provider, free_port), try_around)
    assert set(statuses) == {404}
    assert report.fault == ""


async def test_an_unrelated_callback_does_not_end_the_trial_sign_in(provider: FakeProvider, free_port: int) -> None:
    callback = f"http://localhost:{free_port}/auth/callback/corp"

    def stray_first(browser: CookieClient, link: str) -> int:
        with CookieClient() as stranger:
            status = stranger.get(callback, params={"code": "x", "state": "s" * 43}).status_code
        walk(browser, link)
        return status

    report, status = await trial(settings_for(provider, free_port), stray_first)
    assert status == 400
    assert report.fault == ""


async def test_the_trial_listener_refuses_requests_for_another_host(provider: FakeProvider, free_port: int) -> None:
    def misdirected(browser: CookieClient, link: str) -> int:
        status = browser.get(link, headers={"Host": "evil.example"}).status_code
        walk(browser, link)
        return status

    report, status = await trial(settings_for(provider, free_port), misdirected)
    assert (status, report.fault) == (421, "")


async def test_a_loopback_port_can_replace_a_public_url_on_another_machine(
    provider: FakeProvider, free_port: int
) -> None:
    server = {"public_url": "https://apps.example.com/tools", "environment": "development"}
    report, _ = await trial(settings_for(provider, 1, server=server), loopback_port=free_port)
    assert report.redirect_uri == f"http://localhost:{free_port}/auth/callback/corp"
    assert report.fault == ""


async def test_a_public_url_on_another_machine_is_served_at_the_address_where_the_front_door_would_listen(
    provider: FakeProvider, free_port: int
) -> None:
    """The browser arrives over a proxy that speaks https; its cookies are Secure, so it is played hop by hop."""
    server = {"public_url": "https://apps.example.com/tools", "bind": f"127.0.0.1:{free_port}"}
    bound = f"http://127.0.0.1:{free_port}"

    def over_a_proxy(browser: CookieClient, link: str) -> str:
        headers = {"Host": "apps.example.com"}
        started = browser.get(link.replace("https://apps.example.com", bound), headers=headers)
        cookie = started.headers["set-cookie"].partition(";")[0]
        back = browser.get(started.headers["location"]).headers["location"]
        assert back.startswith("https://apps.example.com/tools/auth/callback/corp?")
        back = back.replace("https://apps.example.com", bound)
        signed_in = browser.get(back, headers={**headers, "Cookie": cookie})
        assert signed_in.headers["location"] == "/tools/"
        return str(browser.get(bound + "/tools/", headers=headers).text)

    report, farewell = await trial(settings_for(provider, free_port, server=server), over_a_proxy)
    assert report.fault == ""
    assert "window can be closed" in farewell


def write_configuration(folder: Path, provider: FakeProvider, port: int) -> None:
    (folder / "client-secret").write_text(provider.client.client_secret)
    lines = [
        *("[server]", f'public_url = "http://localhost:{port}"', 'environment = "development"'),
        *("[secrets]", f'keys = ["{KEY}"]'),
        *("[providers.corp]", f'issuer = "{provider.issuer}"', 'client_id = "vestibule"'),
        'client_secret_file = "client-secret"',
    ]
    (folder / "vestibule.toml").write_text("\n".join(lines))


def test_the_command_prints_a_link_and_then_the_report(provider: FakeProvider, free_port: int, tmp_path: Path) -> None:
    write_configuration(tmp_path, provider, free_port)
    command = [sys.executable, "-m", "gateway.cli.main", "doctor", "--login", "--json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while not (found := LINK.search(said)):
            text = process.stderr.readline()
            assert text, said
            said += text
        with CookieClient() as browser:
            walk(browser, found[0])
        out, rest = process.communicate(timeout=20)
    report = json.loads(out)
    assert (process.returncode, report["ok"], report["fault"]) == (0, True, "")
    assert "Traceback" not in rest
    assert not [secret for secret in provider.issued if secret in out + said + rest]


def test_the_command_exits_with_1_when_the_port_is_in_use(provider: FakeProvider, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_configuration(tmp_path, provider, taken.getsockname()[1])
        done = vestibule("doctor", "--login", folder=tmp_path)
    assert done.returncode == 1
    assert "taken by another program" in done.stderr


def test_the_help_of_doctor_lists_the_options_of_the_trial_sign_in(tmp_path: Path) -> None:
    shown = vestibule("doctor", "--help", folder=tmp_path).stdout
    assert all(option in shown for option in ("--login", "--provider", "--loopback-port"))


@pytest.mark.parametrize(
    ("issuer", "kind"),
    [
        ("https://idp.example.com/realms/corp", "keycloak"),
        ("https://idp.example.com/auth/realms/corp/", "keycloak"),
        ("https://login.microsoftonline.com/0000/v2.0", "entra"),
        ("https://dev-1.okta.com/oauth2/default", "okta"),
        ("https://tenant.eu.auth0.com/", "auth0"),
        ("https://accounts.google.com", "google"),
        ("https://dex.example.com/dex", "dex"),
        ("https://notokta.com", "other"),
        ("https://okta.com.evil.example", "other"),
    ],
)
def test_the_provider_product_is_recognised_by_its_issuer(issuer: str, kind: str) -> None:
    assert kind_of(issuer) == kind


@pytest.mark.parametrize("issuer", ["https://a.example", "https://accounts.google.com", "https://a.example/realms/x"])
@pytest.mark.parametrize(
    "claim",
    [
        *("sub", "name", "email", "email_verified", "roles", "groups", "sid", "auth_time", "acr"),
        *("refresh token", "access token", "audience"),
    ],
)
def test_every_claim_has_a_fix_for_every_provider_product(issuer: str, claim: str) -> None:
    assert fix_for(issuer, claim)
