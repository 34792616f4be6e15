"""`vestibule migrate oauth2-proxy` writes a configuration that passes the check, and keeps every secret to itself."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from bff.settings.loading import load_settings
from bff.settings.tables import Settings
from tests.gateway.cli.migrate.old_configurations import (
    ISSUER,
    PASSWORD,
    SECRET,
    assert_passes_the_check,
    migrate,
    settings_in,
    write_old,
)
from tests.gateway.commands import vestibule
from tests.markdown import blocks_of
from tests.repository import ROOT


def without_issuer(folder: Path, **options: Any) -> Settings:
    write_old(folder, without=("oidc_issuer_url", "client_secret"), **options)
    assert migrate(folder)[0] in (0, 1)
    (folder / "new" / "secrets" / "client-secret").write_text(SECRET)
    return settings_in(folder)


@pytest.mark.parametrize(
    ("options", "issuer"),
    [
        ({"provider": "google"}, "https://accounts.google.com"),
        ({"provider": "gitlab"}, "https://gitlab.com"),
        ({"provider": "azure", "azure_tenant": "abc"}, "https://login.microsoftonline.com/abc/v2.0"),
        (
            {"provider": "keycloak", "login_url": "https://k.example/realms/r/protocol/openid-connect/auth"},
            "https://k.example/realms/r",
        ),
        ({"provider": "login.gov", "login_url": "https://idp.example/authorize"}, "https://idp.example/"),
        ({"provider": "login.gov"}, "https://secure.login.gov/"),
    ],
    ids=["google", "gitlab", "azure", "keycloak", "login.gov for tests", "login.gov"],
)
def test_an_issuer_that_nobody_wrote_follows_from_the_provider(
    options: dict[str, Any], issuer: str, folder: Path
) -> None:
    (only,) = without_issuer(folder, **options).providers.values()
    assert only.issuer == issuer


def test_an_issuer_beside_the_provider_google_counts_as_little_as_before(folder: Path) -> None:
    write_old(folder, without=("provider",))
    code, said = migrate(folder)
    assert code == 1
    assert "! oidc_issuer_url: Has no effect" in said
    assert settings_in(folder).providers["google"].issuer == "https://accounts.google.com"


def test_the_report_has_the_three_lists_and_lies_beside_the_file(folder: Path) -> None:
    write_old(folder, cookie_secure=False, cookie_name="_mine", frobnicate="x")
    code, said = migrate(folder)
    assert code == 1
    assert "Taken over (" in said
    assert "    cookie_name: The name is `__Host-vestibule`" in said
    assert "    cookie_secure: Cookies are always Secure" in said
    assert "Unknown, and not read (1)\n  ! frobnicate" in said
    assert (folder / "new" / "migrated-from-oauth2-proxy.txt").read_text() in said


def test_nothing_is_left_to_do_with_a_complete_configuration(folder: Path) -> None:
    write_old(folder)
    code, said = migrate(folder)
    assert code == 0
    assert "!" not in said.replace("lines marked with !", "")


def test_secrets_are_in_files_of_their_own_and_never_shown(folder: Path) -> None:
    write_old(
        folder,
        session_store_type="redis",
        redis_connection_url="redis://redis:6379",
        redis_password=PASSWORD,
        basic_auth_password="iig5eiC6oiThoh2C",
        signature_key="sha1:aeCh2Ohph4ooPhoh",
        htpasswd_file="users",
        unknown_secret="eiph4eeghaeGai3a",
        cookie_secret="Eiquoh8aiPhei4Oh",
    )
    _, said = migrate(folder)
    new = folder / "new"
    shown = said + (new / "vestibule.toml").read_text() + (new / "migrated-from-oauth2-proxy.txt").read_text()
    for secret in (SECRET, PASSWORD, "iig5", "aeCh2", "eiph4", "Eiquoh8"):
        assert secret not in shown, secret
    assert (new / "secrets" / "client-secret").read_text() == SECRET + "\n"
    assert settings_in(folder).store.url.get_secret_value() == f"redis://:{PASSWORD}@redis:6379/0"
    kept = [path for path in (new / "secrets").iterdir() if path.name != ".gitignore"]
    assert {path.name for path in kept} == {"keys", "admin-token", "client-secret", "store-url"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept)
    assert stat.S_IMODE((new / "secrets").stat().st_mode) == 0o700


def test_the_old_cookie_secret_is_not_used_again(folder: Path) -> None:
    write_old(folder, cookie_secret="Eiquoh8aiPhei4OhEiquoh8aiPhei4Oh")
    migrate(folder)
    assert "Eiquoh8" not in (folder / "new" / "secrets" / "keys").read_text()


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    write_old(folder)
    (folder / "new" / "secrets").mkdir(parents=True)
    (folder / "new" / "secrets" / "client-secret").write_text("mine")
    code, said = migrate(folder)
    assert code == 2
    assert "there already" in said
    assert (folder / "new" / "secrets" / "client-secret").read_text() == "mine"
    assert not (folder / "new" / "vestibule.toml").exists()


def test_a_folder_of_secrets_that_is_there_is_closed_to_others(folder: Path) -> None:
    write_old(folder)
    (folder / "new" / "secrets").mkdir(parents=True, mode=0o755)
    assert migrate(folder)[0] == 0
    assert stat.S_IMODE((folder / "new" / "secrets").stat().st_mode) == 0o700


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    write_old(folder)
    (folder / "new").mkdir()
    (folder / "new").chmod(0o777)
    assert migrate(folder)[0] == 2


def test_a_client_secret_that_is_not_here_leaves_an_empty_file_and_a_step(folder: Path) -> None:
    write_old(folder, without=("client_secret",), client_secret_file="/run/secrets/not-here")
    code, said = migrate(folder)
    assert code == 1
    assert "! client_secret_file: The secret cannot be read here" in said
    assert (folder / "new" / "secrets" / "client-secret").read_text().strip() == ""
    (folder / "new" / "secrets" / "client-secret").write_text(SECRET)
    assert_passes_the_check(folder)


def test_a_client_secret_in_a_file_is_copied(folder: Path) -> None:
    (folder / "secret").write_text(SECRET)
    write_old(folder, without=("client_secret",), client_secret_file="secret")
    code, said = migrate(folder)
    assert (code, SECRET in said) == (0, False)
    assert settings_in(folder).providers["corp"].client_secret.get_secret_value() == SECRET


@pytest.mark.parametrize(
    "provider", ["github", "bitbucket", "digitalocean", "facebook", "linkedin", "nextcloud", "sourcehut", "frob"]
)
def test_a_provider_without_openid_connect_is_refused_with_what_to_do(provider: str, folder: Path) -> None:
    write_old(folder, provider=provider)
    code, said = migrate(folder)
    assert code == 2
    assert not (folder / "new").exists()
    if provider != "frob":
        assert "OpenID Connect" in said
        assert 'provider = "oidc"' in said


def test_without_a_public_address_the_command_asks_for_one(folder: Path) -> None:
    write_old(folder, without=("redirect_url",))
    code, said = migrate(folder)
    assert (code, "--public-url" in said) == (2, True)
    assert migrate(folder, "--public-url", "https://apps.example.com")[0] == 0
    assert settings_in(folder).server.public_url == "https://apps.example.com"


def test_a_proxy_is_trusted_only_if_it_is_named(folder: Path) -> None:
    write_old(folder, reverse_proxy=True)
    code, said = migrate(folder)
    assert code == 1
    assert "! reverse_proxy" in said
    assert not settings_in(folder).server.trusted_proxies
    code, _ = migrate(folder, "--trusted-proxy", "10.1.0.0/16", "--out", str(folder / "second"))
    assert code == 0


@pytest.mark.parametrize("upstreams", [None, ["static://202"]], ids=["no upstream", "a static one"])
def test_a_configuration_that_only_answers_questions_does_so_here(upstreams: list[str] | None, folder: Path) -> None:
    options: dict[str, Any] = {"set_xauthrequest": True, "reverse_proxy": True, "skip_auth_routes": ["^/health$"]}
    write_old(folder, without=("upstreams",) if upstreams is None else (), **options, upstreams=upstreams or [])
    code, said = migrate(folder)
    assert (code, "--trusted-proxy" in said) == (2, True)
    assert migrate(folder, "--trusted-proxy", "127.0.0.1")[0] == 0
    assert_passes_the_check(folder)
    settings = settings_in(folder)
    assert settings.forward_auth.modes == ("nginx",)
    assert [str(network) for network in settings.server.trusted_proxies] == ["127.0.0.1/32"]
    everything, health = settings.routes
    assert (everything.upstream, everything.auth, everything.identity_headers) == ((), "required", "x-auth-request")
    assert (health.path, health.exact, health.auth, health.upstream) == ("/health", True, "optional", ())


def test_a_token_in_an_answer_stays_with_the_listener_of_proxies(folder: Path) -> None:
    write_old(folder, without=("upstreams",), set_authorization_header=True)
    code, said = migrate(folder, "--trusted-proxy", "127.0.0.1")
    assert code == 0
    assert 'set_authorization_header: routes.token = "id_token". A public /oauth2/auth never carries it' in said
    assert settings_in(folder).routes[0].token == "id_token"


def test_variables_alone_are_enough(folder: Path) -> None:
    variables = {
        "OAUTH2_PROXY_PROVIDER": "oidc",
        "OAUTH2_PROXY_OIDC_ISSUER_URL": ISSUER,
        "OAUTH2_PROXY_CLIENT_ID": "front",
        "OAUTH2_PROXY_CLIENT_SECRET": SECRET,
        "OAUTH2_PROXY_EMAIL_DOMAINS": "example.com,example.org",
        "OAUTH2_PROXY_REDIRECT_URL": "https://apps.example.com/oauth2/callback",
        "OAUTH2_PROXY_UPSTREAMS": "http://127.0.0.1:8080",
    }
    code, said = migrate(folder, "--env", variables=variables)
    assert code == 0, said
    route = settings_in(folder).routes[0]
    assert route.require.email_domains == ("example.com", "example.org")
    assert route.identity_headers == "x-forwarded"


ALPHA = {
    "upstreamConfig": {
        "proxyRawPath": True,
        "upstreams": [
            {"id": "app", "path": "/", "uri": "http://127.0.0.1:8080", "timeout": "90s"},
            {"id": "cut", "path": "^/cut/(.*)$", "rewriteTarget": "/$1", "uri": "http://127.0.0.1:9000"},
        ],
    },
    "injectRequestHeaders": [
        {"name": "X-Forwarded-User", "values": [{"claimSource": {"claim": "user"}}]},
        {"name": "X-Forwarded-Email", "values": [{"claim": "email"}]},
        {"name": "X-Department", "values": [{"claimSource": {"claim": "department"}}]},
        {"name": "Authorization", "values": [{"claimSource": {"claim": "id_token", "prefix": "Bearer "}}]},
    ],
    "server": {"bindAddress": "0.0.0.0:4180"},
    "providers": [
        {
            "provider": "oidc",
            "id": "x",
            "clientID": "front",
            "clientSecret": SECRET,
            "oidcConfig": {"issuerURL": ISSUER, "groupsClaim": "teams", "insecureSkipNonce": True},
            "loginURLParameters": [{"name": "prompt", "default": ["login"]}],
        }
    ],
}


def test_an_alpha_configuration_beside_the_rest_is_read(folder: Path) -> None:
    (folder / "alpha.yaml").write_text(json.dumps(ALPHA))
    (folder / "oauth2-proxy.cfg").write_text(
        tomlkit.dumps({"email_domains": ["example.com"], "redirect_url": "https://apps.example.com/oauth2/callback"})
    )
    code, said = migrate(folder, str(folder / "alpha.yaml"))
    assert code == 0, said
    assert_passes_the_check(folder)
    settings = settings_in(folder)
    app, cut = settings.routes
    assert (app.path, app.upstream, app.encoded_slashes) == ("/", ("http://127.0.0.1:8080",), True)
    assert app.timeouts.first_byte == 90
    assert (cut.path, cut.strip_prefix) == ("/cut/", True)
    assert app.identity_headers == cut.identity_headers == "x-forwarded"
    assert app.claim_headers == {"X-Department": "department"}
    assert app.token == "id_token"
    provider = settings.providers["corp"]
    assert (provider.groups_claim, provider.authorization_parameters) == ("teams", {"prompt": "login"})
    assert settings.server.bind == "0.0.0.0:4180"
    for place in ("injectRequestHeaders[3]", "upstreamConfig.upstreams[1]", "providers.id", "insecure_oidc_skip_nonce"):
        assert f" {place}: " in said


def test_without_an_alpha_header_the_application_gets_none(folder: Path) -> None:
    tree = {key: value for key, value in ALPHA.items() if key != "injectRequestHeaders"}
    (folder / "alpha.yaml").write_text(json.dumps(tree))
    (folder / "oauth2-proxy.cfg").write_text(
        tomlkit.dumps({"email_domains": ["*"], "redirect_url": "https://apps.example.com/oauth2/callback"})
    )
    migrate(folder, str(folder / "alpha.yaml"))
    assert settings_in(folder).routes[0].identity_headers == "none"


ADDRESSES: dict[str, Any] = {
    "redirect_url": "https://[bad/oauth2/callback",
    "upstreams": ["http://[bad"],
    "login_url": "https://[bad",
    "whitelist_domains": ["[bad"],
    "redis_connection_url": f"redis://:{PASSWORD}@host:port",
    "oidc_issuer_url": "https://[bad",
    "http_address": "[bad",
    "trusted_proxy_ips": ["300.1.1.1"],
    "cookie_expire": "a week",
    "reverse_proxy": "perhaps",
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_a_value_that_is_not_valid_is_refused_or_left_out_and_no_secret_is_shown(name: str, folder: Path) -> None:
    options = {"session_store_type": "redis", "redis_connection_url": "redis://h", name: ADDRESSES[name]}
    write_old(folder, **options)
    code, said = migrate(folder)
    assert code in (1, 2)
    assert code == 1 or name in said or "--public-url" in said or "issuer" in said
    assert PASSWORD not in said


def test_the_walk_of_the_page_is_as_it_says(folder: Path) -> None:
    page = (ROOT / "docs" / "coming-from-oauth2-proxy.md").read_text(encoding="utf-8")
    blocks = blocks_of(page)
    (folder / "oauth2-proxy.cfg").write_text(next(block.text for block in blocks if block.language == "text"))
    (folder / "client-secret").write_text(SECRET)
    commands = [block.text.strip() for block in blocks if block.language == "sh" and not block.skipped]
    first, check = commands[0].split(), commands[1].splitlines()[0].split()
    done = vestibule(*first[1:], folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert vestibule(*check[1:], folder=folder).stdout == "ok\n"
    settings = load_settings(folder / "vestibule" / "vestibule.toml", environ={})
    assert settings.server.bind == "127.0.0.1:4180"
    assert [(route.path, route.exact, route.auth) for route in settings.routes] == [
        ("/", False, "required"),
        ("/health", True, "optional"),
    ]
    kept = re.findall(r"^  [ !] (\w+): ", done.stdout, re.MULTILINE)
    given = re.findall(r"^(\w+) = ", (folder / "oauth2-proxy.cfg").read_text(), re.MULTILINE)
    assert sorted(kept) == sorted(given)


def test_nothing_to_read_is_a_fault_of_the_command_line(folder: Path) -> None:
    assert migrate(folder)[0] == 2
    assert migrate(folder, "--env")[0] == 2
    assert migrate(folder, str(folder / "gone.cfg"))[0] == 2
