"""`vestibule doctor --login` signs somebody in for real and says, claim by claim, what arrived; tokens stay unseen."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from gateway.cli.doctor.claims import Shown
from gateway.cli.doctor.fixes import fix_for, kind_of
from gateway.cli.doctor.login import LoginReport, sign_in_once
from gateway.faults import CommandFault, UsageFault
from tests.fakes import OMIT, CookieClient, FakeProvider, bind_socket
from tests.gateway.commands import environment, vestibule

KEY = "unit-test-key-0123456789-abcdefghijklmnop"
LINK = re.compile(r"http\S+/auth/login\S+")


def tables_for(provider: FakeProvider, port: int, **over: Any) -> dict[str, Any]:
    corp = {
        "issuer": provider.issuer,
        "client_id": provider.client.client_id,
        "client_secret": provider.client.client_secret,
        **over.pop("corp", {}),
    }
    server = {"public_url": f"http://localhost:{port}", "environment": "development", **over.pop("server", {})}
    return {"server": server, "secrets": {"keys": [KEY]}, "providers": {"corp": corp}, **over}


def settings_for(provider: FakeProvider, port: int, **over: Any) -> Settings:
    return parse_settings(tables_for(provider, port, **over))


async def trial(settings: Settings, visit: Any = None, **options: Any) -> tuple[LoginReport, Any]:
    """Run one trial; `visit` gets a browser and the printed link. Returns the report and what `visit` returned."""
    said: asyncio.Queue[str] = asyncio.Queue()
    running = asyncio.create_task(sign_in_once(settings, say=said.put_nowait, **options))
    link = ""
    while not link and not running.done():
        waiting = asyncio.ensure_future(said.get())
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and (found := LINK.search(waiting.result())):
            link = found[0]
        waiting.cancel()
    result = None
    if link:
        with CookieClient() as browser:
            result = await asyncio.to_thread(visit or walk, browser, link)
    return await asyncio.wait_for(running, 20), result


def walk(browser: CookieClient, link: str) -> str:
    return str(browser.walk(browser.get(link))[-1].text)


def line(report: LoginReport, claim: str) -> Shown:
    [found] = [shown for shown in report.lines if shown.claim.split(" at ")[0] == claim]
    return found


# -- what arrives ----------------------------------------------------------------------------------------------------


async def test_a_sign_in_shows_every_expected_claim(provider: FakeProvider, free_port: int) -> None:
    report, farewell = await trial(settings_for(provider, free_port))
    assert report.fault == ""
    assert report.is_healthy(strict=True)
    assert "window can be closed" in farewell
    assert [shown.claim for shown in report.lines] == [
        *("sub", "name", "email", "email_verified", "roles at realm_access.roles", "groups at groups"),
        *("sid", "auth_time", "acr", "refresh token", "access token"),
    ]
    assert line(report, "sub").text == "alice (ID token, userinfo)"
    assert line(report, "email_verified").text.startswith("true")
    roles = line(report, "roles").text
    assert roles == "userinfo: analyst, admin; ID token: analyst, admin; access token: analyst, admin"
    assert line(report, "refresh token") == Shown("found", "refresh token", "yes")
    assert (
        line(report, "access token").text == "JWT (typ at+jwt), audience api, lives 300 s, scope openid profile email"
    )


async def test_it_is_the_real_sign_in_with_one_token_request_and_leaves_no_refresh_token(
    provider: FakeProvider, free_port: int
) -> None:
    await trial(settings_for(provider, free_port))
    [grant] = provider.grants()
    assert grant.grant_type == "authorization_code"
    [pushed] = provider.hits_of("par")
    assert pushed.form["redirect_uri"] == f"http://localhost:{free_port}/auth/callback/corp"
    assert pushed.form["code_challenge_method"] == "S256"
    assert len(provider.hits_of("revocation")) == 1


async def test_no_token_no_secret_and_no_session_id_is_shown(provider: FakeProvider, free_port: int) -> None:
    report, _ = await trial(settings_for(provider, free_port))
    shown = report.as_text() + json.dumps(report.as_json())
    assert provider.issued
    [login] = provider.logins()
    hidden = (*provider.issued, provider.client.client_secret, KEY, login.sid)
    assert not [secret for secret in hidden if secret in shown]
    assert line(report, "sid").text == "yes (ID token)"


async def test_form_post_comes_back_as_well_from_a_provider_on_the_same_host(free_port: int) -> None:
    with FakeProvider(auto_login="alice", host="localhost") as provider:
        report, _ = await trial(settings_for(provider, free_port, corp={"response_mode": "form_post"}))
    assert report.fault == ""


async def test_roles_in_the_access_token_alone_are_found_there(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"realm_access": OMIT})
    provider.bend.userinfo.json(without("realm_access"))
    report, _ = await trial(settings_for(provider, free_port))
    assert line(report, "roles").text == "access token: analyst, admin"


async def test_roles_where_roles_from_does_not_look_are_missing(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"realm_access": OMIT})
    settings = settings_for(provider, free_port, corp={"roles_from": ["id_token"]}, routes=[needing(roles_any=["x"])])
    report, _ = await trial(settings)
    assert line(report, "roles").level == "warning"
    assert "only in userinfo, access token, which roles_from leaves out" in line(report, "roles").text


async def test_a_missing_claim_that_a_route_needs_is_a_warning_that_names_both(
    provider: FakeProvider, free_port: int
) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"groups": OMIT})
    provider.bend.userinfo.json(without("groups"))
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(groups_any=["science"])]))
    groups = line(report, "groups")
    assert groups.level == "warning"
    assert "routes.app.require needs it" in groups.text
    assert fix_for(provider.issuer, "groups") in groups.text
    assert report.is_healthy()
    assert not report.is_healthy(strict=True)


@pytest.mark.parametrize("place", ["roles", "role", "groups", "cognito:groups", "https://example.com/roles"])
async def test_roles_that_stand_elsewhere_are_pointed_at(provider: FakeProvider, free_port: int, place: str) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"realm_access": OMIT, "groups": OMIT, place: ["analyst"]})
    provider.bend.userinfo.json(without("realm_access", "groups"))
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(roles_any=["analyst"])]))
    roles = line(report, "roles")
    assert roles.level == "warning"
    assert f'but {place} did (ID token: analyst): if those are roles, roles_claim = "{place}"' in roles.text


async def test_a_claim_whose_scope_was_asked_for_is_the_providers_to_send(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"email": OMIT})
    provider.bend.userinfo.json(without("email"))
    report, _ = await trial(settings_for(provider, free_port))
    assert 'the provider did not send it, although scopes has "email"' in line(report, "email").text
    report, _ = await trial(settings_for(provider, free_port, corp={"scopes": ["openid", "profile"]}))
    assert 'add "email" to scopes' in line(report, "email").text


async def test_a_missing_claim_that_nothing_uses_is_no_warning(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"acr": OMIT, "auth_time": OMIT, "sid": OMIT})
    report, _ = await trial(settings_for(provider, free_port))
    assert [line(report, name).level for name in ("acr", "auth_time", "sid")] == ["missing"] * 3
    assert report.is_healthy(strict=True)


async def test_a_role_of_our_own_needs_no_role_of_the_provider(provider: FakeProvider, free_port: int) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"realm_access": OMIT})
    provider.bend.userinfo.json(without("realm_access"))
    local = {"analyst": {"groups_any": ["science"]}}
    report, _ = await trial(settings_for(provider, free_port, roles=local, routes=[needing(roles_any=["analyst"])]))
    assert line(report, "roles").level == "missing"


async def test_an_unverified_address_warns_where_addresses_decide(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].email_verified = False
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(email_domains=["example.com"])]))
    assert line(report, "email_verified").level == "warning"
    assert "do not count this address" in line(report, "email_verified").text


async def test_claims_that_rules_and_headers_name_are_looked_for_too(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].extra = {"department": "birds"}
    route = needing(claims={"tenant": "blue"}) | {"claim_headers": {"X-Department": "department"}}
    report, _ = await trial(settings_for(provider, free_port, routes=[route]))
    assert line(report, "claim department") == Shown("found", "claim department", "birds")
    assert line(report, "claim tenant").level == "warning"


async def test_no_refresh_token_warns_where_the_providers_token_goes_to_an_api(
    provider: FakeProvider, free_port: int
) -> None:
    provider.options.issue_refresh_tokens = False
    api = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9", "token": "access_token"}
    report, _ = await trial(settings_for(provider, free_port, routes=[api]))
    assert line(report, "refresh token").level == "warning"
    assert "offline_access" in line(report, "refresh token").text


async def test_an_opaque_access_token_is_told_from_a_jwt(provider: FakeProvider, free_port: int) -> None:
    provider.bend.access_token.raw(lambda token: "opaque-" + token.rpartition(".")[2])
    provider.bend.id_token.claims(lambda claims: claims | {"at_hash": OMIT})
    report, _ = await trial(settings_for(provider, free_port, corp={"userinfo": "never"}))
    assert line(report, "access token").text.startswith("opaque, lives 300 s")


async def test_an_audience_that_is_no_api_names_the_mapper(provider: FakeProvider, free_port: int) -> None:
    provider.options.access_token_audience = "account"
    api = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9", "token": "access_token"}
    report, _ = await trial(settings_for(provider, free_port, routes=[api]))
    assert line(report, "access token").level == "warning"
    assert "audience account" in line(report, "access token").text


async def test_what_the_provider_says_cannot_forge_a_line(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].roles = ["x" * 300, "admin\nfound    sub: root"]
    provider.people["alice"].extra = {"acr": "a\x1b[2J" + "y" * 500}
    provider.options.acr = "a\x1b[2J" + "y" * 500
    report, _ = await trial(settings_for(provider, free_port))
    assert all(shown.text.isprintable() and len(shown.text) < 500 for shown in report.lines)


# -- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_token_that_breaks_a_rule_ends_the_trial_with_its_code(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"aud": "another"})
    report, page = await trial(settings_for(provider, free_port))
    assert report.fault.startswith("id_token_aud")
    assert "docs/errors.md#id_token_aud" in report.fault
    assert not report.is_healthy()
    assert "id_token_aud" in page


async def test_a_wrong_secret_ends_the_trial(provider: FakeProvider, free_port: int) -> None:
    corp = {"client_secret": "another-secret-altogether", "par": "off"}
    report, _ = await trial(settings_for(provider, free_port, corp=corp))
    assert report.fault.startswith("token_refused (invalid_client)")


async def test_a_refusal_of_the_provider_ends_the_trial(provider: FakeProvider, free_port: int) -> None:
    provider.options.auto_login = ""

    def cancel(browser: CookieClient, link: str) -> None:
        browser.walk(browser.submit(browser.walk(browser.get(link))[-1], "#cancel"))

    report, _ = await trial(settings_for(provider, free_port), cancel)
    assert report.fault.startswith("the provider refused (access_denied)")


async def test_a_provider_that_is_down_is_said_before_anybody_is_asked_to_sign_in(
    provider: FakeProvider, free_port: int
) -> None:
    provider.stop()
    report, visited = await trial(settings_for(provider, free_port))
    assert report.fault.startswith("provider_unreachable")
    assert visited is None


async def test_nobody_coming_back_ends_the_trial_in_time(provider: FakeProvider, free_port: int) -> None:
    settings = settings_for(provider, free_port, limits={"login_seconds": 0.3})
    report, _ = await trial(settings, lambda browser, link: None)
    assert "nobody came back" in report.fault


async def test_a_taken_port_names_the_front_door_and_the_way_out(provider: FakeProvider) -> None:
    taken = bind_socket("127.0.0.1")
    taken.listen()
    port = taken.getsockname()[1]
    with taken, pytest.raises(CommandFault, match=r"front door runs there, stop it.*loopback"):
        await trial(settings_for(provider, port))


async def test_a_certificate_that_is_not_there_is_a_fault_and_no_trace(provider: FakeProvider, free_port: int) -> None:
    server = {
        "public_url": f"https://localhost:{free_port}",
        "bind": f"127.0.0.1:{free_port}",
        "tls": {"certificate_file": "no-such.pem", "key_file": "no-such.pem"},
    }
    with pytest.raises(CommandFault, match=r"server\.tls"):
        await trial(settings_for(provider, free_port, server=server))


async def test_of_several_providers_one_must_be_chosen(provider: FakeProvider, free_port: int) -> None:
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


# -- who may use the listener ----------------------------------------------------------------------------------------


async def test_without_the_link_nobody_can_sign_in(provider: FakeProvider, free_port: int) -> None:
    door = f"http://localhost:{free_port}"

    def try_around(browser: CookieClient, link: str) -> list[int]:
        paths = ("/", "/auth/login", "/auth/login?check=", "/auth/login?provider=corp&check=x", "/auth/session")
        refused = [browser.get(door + path).status_code for path in (*paths, "/auth/jwks.json", "/auth/callback/other")]
        walk(browser, link)
        return refused

    report, statuses = await trial(settings_for(provider, free_port), try_around)
    assert set(statuses) == {404}
    assert report.fault == ""


async def test_a_stray_callback_does_not_end_the_trial(provider: FakeProvider, free_port: int) -> None:
    callback = f"http://localhost:{free_port}/auth/callback/corp"

    def stray_first(browser: CookieClient, link: str) -> int:
        with CookieClient() as stranger:
            status = stranger.get(callback, params={"code": "x", "state": "s" * 43}).status_code
        walk(browser, link)
        return status

    report, status = await trial(settings_for(provider, free_port), stray_first)
    assert status == 400
    assert report.fault == ""


async def test_another_host_is_not_served(provider: FakeProvider, free_port: int) -> None:
    def misdirected(browser: CookieClient, link: str) -> int:
        status = browser.get(link, headers={"Host": "evil.example"}).status_code
        walk(browser, link)
        return status

    report, status = await trial(settings_for(provider, free_port), misdirected)
    assert (status, report.fault) == (421, "")


# -- where it listens ------------------------------------------------------------------------------------------------


async def test_a_loopback_port_stands_in_for_a_public_url_elsewhere(provider: FakeProvider, free_port: int) -> None:
    server = {"public_url": "https://apps.example.com/tools", "environment": "development"}
    report, _ = await trial(settings_for(provider, 1, server=server), loopback_port=free_port)
    assert report.redirect_uri == f"http://localhost:{free_port}/auth/callback/corp"
    assert report.fault == ""


async def test_a_public_url_elsewhere_is_served_where_the_front_door_would_listen(
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


# -- the command -----------------------------------------------------------------------------------------------------


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


def test_the_command_ends_with_1_where_the_port_is_taken(provider: FakeProvider, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        write_configuration(tmp_path, provider, taken.getsockname()[1])
        done = vestibule("doctor", "--login", folder=tmp_path)
    assert done.returncode == 1
    assert "taken by another program" in done.stderr


def test_help_names_the_options(tmp_path: Path) -> None:
    shown = vestibule("doctor", "--help", folder=tmp_path).stdout
    assert all(option in shown for option in ("--login", "--provider", "--loopback-port"))


# -- kinds of providers ----------------------------------------------------------------------------------------------


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
def test_the_issuer_tells_the_product(issuer: str, kind: str) -> None:
    assert kind_of(issuer) == kind


@pytest.mark.parametrize("issuer", ["https://a.example", "https://accounts.google.com", "https://a.example/realms/x"])
@pytest.mark.parametrize(
    "claim",
    [
        *("sub", "name", "email", "email_verified", "roles", "groups", "sid", "auth_time", "acr"),
        *("refresh token", "access token", "audience"),
    ],
)
def test_there_is_a_fix_for_every_claim_at_every_provider(issuer: str, claim: str) -> None:
    assert fix_for(issuer, claim)


def needing(**require: Any) -> dict[str, Any]:
    return {"id": "app", "path": "/", "upstream": "http://127.0.0.1:9", "kind": "page", "require": require}


def without(*names: str) -> Any:
    return lambda document: {name: value for name, value in document.items() if name not in names}


async def test_an_address_that_is_assumed_to_be_verified_is_shown_so(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"email_verified": OMIT})
    provider.bend.userinfo.json(without("email_verified"))
    settings = settings_for(provider, free_port, routes=[needing(email_domains=["example.com"])])
    assert line((await trial(settings))[0], "email_verified").level == "warning"
    corp = settings.providers["corp"].model_copy(update={"email_verified": "assume"})
    assuming = settings.model_copy(update={"providers": {"corp": corp}})
    shown = line((await trial(assuming))[0], "email_verified")
    assert shown.level == "found"
    assert "assumed" in shown.text


async def test_a_header_of_an_unverified_address_is_warned_of(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].email_verified = False
    route = needing() | {"claim_headers": {"X-Mail": "email"}}
    report, _ = await trial(settings_for(provider, free_port, routes=[route]))
    assert line(report, "claim email").level == "warning"
    assert "nobody has verified it" in line(report, "claim email").text
