"""`vestibule doctor --login` does a real sign-in and says for each claim what arrived. It shows no token."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.cli.doctor.claims import Shown
from gateway.cli.doctor.fixes import fix_for
from gateway.cli.doctor.login import LoginReport
from tests.fakes import OMIT, FakeProvider
from tests.gateway.cli.doctor.trials import KEY, settings_for, trial


def line(report: LoginReport, claim: str) -> Shown:
    [found] = [shown for shown in report.lines if shown.claim.split(" at ")[0] == claim]
    return found


async def test_a_trial_sign_in_shows_every_expected_claim(provider: FakeProvider, free_port: int) -> None:
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


async def test_a_trial_sign_in_makes_one_token_request_and_leaves_no_refresh_token(
    provider: FakeProvider, free_port: int
) -> None:
    await trial(settings_for(provider, free_port))
    [grant] = provider.grants()
    assert grant.grant_type == "authorization_code"
    [pushed] = provider.hits_of("par")
    assert pushed.form["redirect_uri"] == f"http://localhost:{free_port}/auth/callback/corp"
    assert pushed.form["code_challenge_method"] == "S256"
    assert len(provider.hits_of("revocation")) == 1


async def test_a_trial_sign_in_uses_the_redirect_uri_that_is_registered_for_oauth2_proxy(
    provider: FakeProvider, free_port: int
) -> None:
    provider.client.redirect_uris = [f"http://localhost:{free_port}/oauth2/callback"]
    report, _ = await trial(settings_for(provider, free_port, compat={"oauth2_proxy": True}))
    assert report.fault == ""
    assert line(report, "sub").text.startswith("alice")


async def test_a_trial_sign_in_shows_no_token_secret_or_session_id(provider: FakeProvider, free_port: int) -> None:
    report, _ = await trial(settings_for(provider, free_port))
    shown = report.as_text() + json.dumps(report.as_json())
    assert provider.issued
    [login] = provider.logins()
    hidden = (*provider.issued, provider.client.client_secret, KEY, login.sid)
    assert not [secret for secret in hidden if secret in shown]
    assert line(report, "sid").text == "yes (ID token)"


async def test_a_trial_sign_in_with_form_post_works_with_a_provider_on_the_same_host(free_port: int) -> None:
    with FakeProvider(auto_login="alice", host="localhost") as provider:
        report, _ = await trial(settings_for(provider, free_port, corp={"response_mode": "form_post"}))
    assert report.fault == ""


async def test_roles_that_are_only_in_the_access_token_are_found(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"realm_access": OMIT})
    provider.bend.userinfo.json(without("realm_access"))
    report, _ = await trial(settings_for(provider, free_port))
    assert line(report, "roles").text == "access token: analyst, admin"


async def test_roles_in_a_source_that_roles_from_does_not_name_are_missing(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"realm_access": OMIT})
    settings = settings_for(provider, free_port, corp={"roles_from": ["id_token"]}, routes=[needing(roles_any=["x"])])
    report, _ = await trial(settings)
    assert line(report, "roles").level == "warning"
    assert "only in userinfo, access token, which roles_from leaves out" in line(report, "roles").text


async def test_a_missing_claim_that_a_route_needs_gives_a_warning_with_claim_and_route(
    provider: FakeProvider, free_port: int
) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"groups": OMIT})
    provider.bend.userinfo.json(without("groups"))
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(groups_any=["science"])]))
    groups = line(report, "groups")
    assert groups.level == "warning"
    assert "needed by routes.app.require" in groups.text
    assert fix_for(provider.issuer, "groups") in groups.text
    assert report.is_healthy()
    assert not report.is_healthy(strict=True)


@pytest.mark.parametrize("place", ["roles", "role", "groups", "cognito:groups", "https://example.com/roles"])
async def test_roles_found_in_another_claim_are_pointed_out(provider: FakeProvider, free_port: int, place: str) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"realm_access": OMIT, "groups": OMIT, place: ["analyst"]})
    provider.bend.userinfo.json(without("realm_access", "groups"))
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(roles_any=["analyst"])]))
    roles = line(report, "roles")
    assert roles.level == "warning"
    assert f'but {place} did (ID token: analyst): if those are roles, roles_claim = "{place}"' in roles.text


async def test_a_missing_claim_whose_scope_was_requested_has_a_fix_at_the_provider(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"email": OMIT})
    provider.bend.userinfo.json(without("email"))
    report, _ = await trial(settings_for(provider, free_port))
    assert 'the provider did not send it, although scopes has "email"' in line(report, "email").text
    report, _ = await trial(settings_for(provider, free_port, corp={"scopes": ["openid", "profile"]}))
    assert 'add "email" to scopes' in line(report, "email").text


async def test_a_missing_claim_that_nothing_uses_gives_no_warning(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"acr": OMIT, "auth_time": OMIT, "sid": OMIT})
    report, _ = await trial(settings_for(provider, free_port))
    assert [line(report, name).level for name in ("acr", "auth_time", "sid")] == ["missing"] * 3
    assert report.is_healthy(strict=True)
    assert "not sent acr: nothing in this configuration needs it" in report.as_text()


async def test_without_an_email_nothing_is_said_about_its_verification(provider: FakeProvider, free_port: int) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"email": OMIT, "email_verified": OMIT})
    provider.bend.userinfo.json(without("email", "email_verified"))
    report, _ = await trial(settings_for(provider, free_port))
    assert line(report, "email_verified").text == "no address arrived, so there is none to verify"


async def test_a_local_role_needs_no_role_from_the_provider(provider: FakeProvider, free_port: int) -> None:
    for bend in (provider.bend.id_token, provider.bend.access_token):
        bend.claims(lambda claims: claims | {"realm_access": OMIT})
    provider.bend.userinfo.json(without("realm_access"))
    local = {"analyst": {"groups_any": ["science"]}}
    report, _ = await trial(settings_for(provider, free_port, roles=local, routes=[needing(roles_any=["analyst"])]))
    assert line(report, "roles").level == "missing"


async def test_an_unverified_email_gives_a_warning_where_rules_use_emails(
    provider: FakeProvider, free_port: int
) -> None:
    provider.people["alice"].email_verified = False
    report, _ = await trial(settings_for(provider, free_port, routes=[needing(email_domains=["example.com"])]))
    assert line(report, "email_verified").level == "warning"
    assert "do not count this address" in line(report, "email_verified").text


async def test_claims_used_in_rules_and_headers_are_checked(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].extra = {"department": "birds"}
    route = needing(claims={"tenant": "blue"}) | {"claim_headers": {"X-Department": "department"}}
    report, _ = await trial(settings_for(provider, free_port, routes=[route]))
    assert line(report, "claim department") == Shown("found", "claim department", "birds")
    assert line(report, "claim tenant").level == "warning"


async def test_a_missing_refresh_token_gives_a_warning_where_an_api_gets_the_token_of_the_provider(
    provider: FakeProvider, free_port: int
) -> None:
    provider.options.issue_refresh_tokens = False
    api = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9", "token": "access_token"}
    report, _ = await trial(settings_for(provider, free_port, routes=[api]))
    assert line(report, "refresh token").level == "warning"
    assert "offline_access" in line(report, "refresh token").text


async def test_an_opaque_access_token_is_reported_differently_from_a_jwt(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.access_token.raw(lambda token: "opaque-" + token.rpartition(".")[2])
    provider.bend.id_token.claims(lambda claims: claims | {"at_hash": OMIT})
    report, _ = await trial(settings_for(provider, free_port, corp={"userinfo": "never"}))
    assert line(report, "access token").text.startswith("opaque, lives 300 s")


async def test_a_wrong_audience_of_the_access_token_is_reported_with_the_mapper_to_add(
    provider: FakeProvider, free_port: int
) -> None:
    provider.options.access_token_audience = "account"
    api = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9", "token": "access_token"}
    report, _ = await trial(settings_for(provider, free_port, routes=[api]))
    assert line(report, "access token").level == "warning"
    assert "audience account" in line(report, "access token").text


async def test_text_from_the_provider_cannot_forge_an_output_line(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].roles = ["x" * 300, "admin\nfound    sub: root"]
    provider.people["alice"].extra = {"acr": "a\x1b[2J" + "y" * 500}
    provider.options.acr = "a\x1b[2J" + "y" * 500
    report, _ = await trial(settings_for(provider, free_port))
    assert all(shown.text.isprintable() and len(shown.text) < 500 for shown in report.lines)


def needing(**require: Any) -> dict[str, Any]:
    return {"id": "app", "path": "/", "upstream": "http://127.0.0.1:9", "kind": "page", "require": require}


def without(*names: str) -> Any:
    return lambda document: {name: value for name, value in document.items() if name not in names}


async def test_an_email_that_the_settings_assume_to_be_verified_is_shown_as_assumed(
    provider: FakeProvider, free_port: int
) -> None:
    provider.bend.id_token.claims(lambda claims: claims | {"email_verified": OMIT})
    provider.bend.userinfo.json(without("email_verified"))
    settings = settings_for(provider, free_port, routes=[needing(email_domains=["example.com"])])
    assert line((await trial(settings))[0], "email_verified").level == "warning"
    corp = settings.providers["corp"].model_copy(update={"email_verified": "assume"})
    assuming = settings.model_copy(update={"providers": {"corp": corp}})
    shown = line((await trial(assuming))[0], "email_verified")
    assert shown.level == "found"
    assert "assumed" in shown.text


async def test_a_header_with_an_unverified_email_gives_a_warning(provider: FakeProvider, free_port: int) -> None:
    provider.people["alice"].email_verified = False
    route = needing() | {"claim_headers": {"X-Mail": "email"}}
    report, _ = await trial(settings_for(provider, free_port, routes=[route]))
    assert line(report, "claim email").level == "warning"
    assert "nobody has verified it" in line(report, "claim email").text


async def test_a_claim_from_which_no_role_can_be_read_gives_a_warning_with_its_form(
    provider: FakeProvider, free_port: int
) -> None:
    change = {"realm_access": {"roles": [True, {}]}, "groups": {"science": {"org": "x"}}, "name": ["Ada"]}
    provider.bend.id_token.claims(lambda claims: claims | change)
    corp = {"userinfo": "never", "roles_from": ["id_token"], "groups_claim": "groups"}
    report, _ = await trial(settings_for(provider, free_port, corp=corp))
    shown = {line.claim: (line.level, line.text) for line in report.lines}
    assert shown["roles at realm_access.roles"] == (
        "warning",
        "ID token: there, but gives no name: it is a list of 2",
    )
    assert shown["groups at groups"] == ("found", "ID token: science")
    assert shown["name"] == ("warning", "there, but gives nothing: it is a list of 1, not one line of text (ID token)")
