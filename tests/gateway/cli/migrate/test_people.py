"""Exactly those people come in whom oauth2-proxy let in, as far as the identity provider vouches for them."""

from __future__ import annotations

import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bff.access.policy import Allowed, decide
from bff.access.roles import with_local_roles
from bff.contract import Identity
from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from gateway.cli.migrate.assembling import build_tables, build_toml
from gateway.cli.migrate.options import Instead, Safer, Taken
from gateway.cli.migrate.sources import read_sources
from gateway.cli.migrate.table import BY_KEY
from gateway.cli.migrate.translation import translate
from gateway.faults import UsageFault
from tests.gateway.cli.migrate.old_configurations import COMPLETE, line_of, translated

KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF"


def settings_of(folder: Path, *, without: tuple[str, ...] = (), **options: Any) -> Settings:
    draft = translated(folder, without=without, **options).draft
    raw = tomllib.loads(build_toml(draft, build_tables(draft)))
    raw["secrets"] = {"keys": [KEY]}
    raw["providers"][draft.product.name].pop("client_secret_file")
    raw["providers"][draft.product.name]["client_secret"] = KEY
    return parse_settings(raw)


def person(
    email: str = "ada@example.com",
    *,
    groups: tuple[str, ...] = (),
    roles: tuple[str, ...] = (),
    client_roles: tuple[str, ...] = (),
    is_verified: bool = True,
    **claims: Any,
) -> Identity:
    access = {"resource_access": {"front": {"roles": list(client_roles)}}}
    return Identity(
        sub="1",
        iss="https://idp.example.com",
        provider="keycloak",
        email=email,
        email_verified=is_verified,
        groups=groups,
        roles=roles,
        claims={**access, **claims},
    )


def comes_in(settings: Settings, who: Identity, route_id: str = "everything") -> bool:
    route = settings.route(route_id)
    assert route is not None
    return isinstance(decide(route, with_local_roles(who, settings.roles), scopes=frozenset(), now=0), Allowed)


@pytest.mark.parametrize("has_file", [True, False], ids=["with a file of addresses", "without a file"])
@pytest.mark.parametrize("has_domain", [True, False], ids=["with a domain", "without a domain"])
@pytest.mark.parametrize(
    "asked",
    [(), ("groups",), ("roles",), ("client",), ("groups", "roles", "client")],
    ids=lambda one: "+".join(one) or "no group",
)
def test_an_address_or_a_domain_and_a_group_or_a_role_open_the_door(
    asked: tuple[str, ...], has_domain: bool, has_file: bool, tmp_path: Path
) -> None:
    if not (has_domain or has_file):
        return
    (tmp_path / "emails").write_text("# guests\nGuest@Other.example\n\nsecond@other.example,note\n")
    options: dict[str, Any] = {"provider": "keycloak-oidc"}
    options |= {"email_domains": ["example.com"]} if has_domain else {}
    options |= {"authenticated_emails_file": "emails"} if has_file else {}
    options |= {"allowed_groups": ["/science"]} if "groups" in asked else {}
    roles = [name for kind, name in (("roles", "analyst"), ("client", "front:boss")) if kind in asked]
    options |= {"allowed_roles": roles} if roles else {}
    settings = settings_of(tmp_path, without=() if has_domain else ("email_domains",), **options)
    emails = {"ada@example.com": has_domain, "guest@other.example": has_file, "eve@evil.example": False}
    memberships: dict[str, tuple[bool, dict[str, Any]]] = {
        "none": (not asked, {}),
        "group": (not asked or "groups" in asked, {"groups": ("/science",)}),
        "other group": (not asked, {"groups": ("/arts", "science")}),
        "role": (not asked or "roles" in asked, {"roles": ("analyst",)}),
        "client role": (not asked or "client" in asked, {"client_roles": ("boss",)}),
    }
    for (email, address_fits), (name, (group_fits, more)) in product(emails.items(), memberships.items()):
        assert comes_in(settings, person(email, **more)) is (address_fits and group_fits), (email, name)
        assert not comes_in(settings, person(email, **more, is_verified=False))


def test_a_star_among_the_domains_lets_every_address_in(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, email_domains=["example.com", "*"])
    assert comes_in(settings, person("eve@evil.example", is_verified=False))


@pytest.mark.parametrize("domains", [[".example.com"], ["*.example.com"], [".example.com", "example.org"]])
def test_a_domain_with_its_subdomains_stays_closed_and_says_so(domains: list[str], tmp_path: Path) -> None:
    translation = translated(tmp_path, email_domains=domains)
    outcome = line_of(translation, "email_domains").outcome
    assert isinstance(outcome, Instead)
    assert outcome.is_open
    settings = settings_of(tmp_path, email_domains=domains)
    assert not comes_in(settings, person("ada@sub.example.com"))
    assert not comes_in(settings, person("ada@example.com"))
    assert comes_in(settings, person("ada@example.org")) is ("example.org" in domains)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"provider": "google", "google_groups": ["team@example.com"]}, "google_groups"),
        ({"provider": "google", "allowed_groups": ["team@example.com"]}, "allowed_groups"),
        ({"provider": "gitlab", "gitlab_projects": ["group/project=30"]}, "gitlab_projects"),
    ],
    ids=["Google's groups", "groups at Google", "GitLab's projects"],
)
def test_a_rule_that_the_provider_cannot_answer_lets_nobody_in(
    options: dict[str, Any], name: str, tmp_path: Path
) -> None:
    translation = translated(tmp_path, without=("oidc_issuer_url",), **options)
    outcome = line_of(translation, name).outcome
    assert isinstance(outcome, Instead)
    assert outcome.is_open
    assert not translation.is_complete
    assert not comes_in(settings_of(tmp_path, without=("oidc_issuer_url",), **options), person())


def test_a_tenant_of_entra_id_is_asked_for_and_is_the_issuer(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "provider": "entra-id",
        "oidc_issuer_url": "https://login.microsoftonline.com/common/v2.0",
        "entra_id_allowed_tenants": ["11111111-2222-3333-4444-555555555555"],
        "insecure_oidc_skip_issuer_verification": True,
    }
    settings = settings_of(tmp_path, **options)
    assert settings.providers["entra"].issuer.split("/")[3] == "11111111-2222-3333-4444-555555555555"
    assert comes_in(settings, person(tid="11111111-2222-3333-4444-555555555555"))
    assert not comes_in(settings, person(tid="99999999-2222-3333-4444-555555555555"))
    assert not comes_in(settings, person())


@pytest.mark.parametrize("tenants", [[], ["one", "two"]], ids=["no tenant", "two tenants"])
def test_an_issuer_that_stands_for_many_tenants_is_refused(tenants: list[str], tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "provider": "entra-id",
        "oidc_issuer_url": "https://login.microsoftonline.com/common/v2.0",
    }
    with pytest.raises(UsageFault, match="several tenants are several tables"):
        translated(tmp_path, **options, entra_id_allowed_tenants=tenants)


def test_a_configuration_that_says_nothing_of_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageFault, match="neither email_domains nor authenticated_emails_file"):
        translated(tmp_path, without=("email_domains",))


@pytest.mark.parametrize("text", [None, "", "\n# nobody\n"], ids=["no file", "an empty file", "comments alone"])
def test_a_file_of_addresses_that_names_nobody_is_refused(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "emails").write_text(text)
    with pytest.raises(UsageFault, match=r"cannot be read|names nobody"):
        translated(tmp_path, without=("email_domains",), authenticated_emails_file="emails")


def test_levels_of_sign_in_are_asked_for_and_checked(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, acr_values="gold silver")
    route = settings.route("everything")
    assert route is not None
    assert route.require.acr_any == ("gold", "silver")
    assert not comes_in(settings, person())


def test_no_way_in_without_a_sign_in_is_taken_over(tmp_path: Path) -> None:
    translation = translated(tmp_path, trusted_ips=["10.0.0.0/8"], htpasswd_file="users", skip_auth_preflight=True)
    assert isinstance(line_of(translation, "trusted_ips").outcome, Safer)
    assert isinstance(line_of(translation, "htpasswd_file").outcome, Instead)
    assert isinstance(line_of(translation, "skip_auth_preflight").outcome, Safer)
    settings = settings_of(tmp_path, trusted_ips=["10.0.0.0/8"], htpasswd_file="users", skip_auth_preflight=True)
    assert [route.auth for route in settings.routes] == ["required"]
    assert not settings.server.trusted_proxies


def test_options_of_another_product_change_nothing(tmp_path: Path) -> None:
    plain = settings_of(tmp_path)
    foreign: dict[str, Any] = {
        "github_org": "acme",
        "google_groups": ["x"],
        "gitlab_groups": ["y"],
        "azure_tenant": "z",
    }
    assert settings_of(tmp_path, **foreign).routes == plain.routes
    assert not isinstance(line_of(translated(tmp_path, **foreign), "github_org").outcome, Taken)


def test_a_rule_whose_value_is_in_a_variable_that_is_not_set_is_refused(folder_with_command: Path) -> None:
    reading = read_sources([folder_with_command / "start.sh"], environ={}, with_environ=False)
    with pytest.raises(UsageFault, match=r"allowed_groups \(\$\{GROUPS_OF_US\}\)"):
        translate(reading, folder=folder_with_command)
    environ = {"GROUPS_OF_US": "science"}
    known = read_sources([folder_with_command / "start.sh"], environ=environ, with_environ=False)
    assert translate(known, folder=folder_with_command).draft.rules.groups == ["science"]


@pytest.fixture
def folder_with_command(tmp_path: Path) -> Path:
    flags = [f"--{BY_KEY[key].flag}={','.join(one) if isinstance(one, list) else one}" for key, one in COMPLETE.items()]
    (tmp_path / "start.sh").write_text(" ".join(["oauth2-proxy", *flags, "--allowed-group=${GROUPS_OF_US}"]))
    return tmp_path
