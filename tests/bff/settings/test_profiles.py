"""Profiles of providers: defaults below what a table says, known by the issuer's address."""

from __future__ import annotations

import tomllib
from typing import Any, get_args

import pytest

from bff.errors import InvalidToken
from bff.oidc.metadata import parse_metadata
from bff.settings.loading import ConfigurationError, parse_settings
from bff.settings.profiles import PROFILES, profile_of_issuer, with_profiles
from bff.settings.tables import Profile, ProviderSettings, Settings
from gateway.processes.settings_text import to_masked, to_toml
from tests.bff.factories import settings

NAMES = sorted(PROFILES)


def provider(**table: Any) -> ProviderSettings:
    base = {"issuer": "https://idp.example.com", "client_id": "vestibule", "client_secret": "unit-test-secret-0123"}
    return settings(providers={"corp": base | table}).providers["corp"]


def test_every_profile_that_a_table_may_name_exists() -> None:
    assert sorted(get_args(Profile)) == ["", *NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_sets_only_keys_that_the_table_does_not_have(name: str) -> None:
    found = provider(profile=name)
    assert {key: getattr(found, key) for key in PROFILES[name]} == dict(PROFILES[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_table_overrides_the_profile(name: str) -> None:
    found = provider(profile=name, roles_claim="mine", scopes=["openid"])
    assert (found.roles_claim, found.scopes) == ("mine", ("openid",))


def test_a_variable_overrides_the_profile() -> None:
    table = {"profile": "entra", "issuer": "https://idp.example.com", "client_id": "vestibule"}
    tables = {"providers": {"corp": table | {"client_secret": "unit-test-secret-0123"}}}
    variables = {"VESTIBULE_PROVIDERS__CORP__ROLES_CLAIM": "mine"}
    found = parse_settings(_minimal() | tables, environ=variables).providers["corp"]
    assert (found.roles_claim, found.userinfo) == ("mine", "never")


def _minimal() -> dict[str, Any]:
    return {
        "server": {"public_url": "http://localhost:8000", "environment": "development"},
        "secrets": {"keys": ["unit-test-key-0123456789-abcdefghijklmnop"]},
        "routes": [{"id": "page", "path": "/", "upstream": "http://127.0.0.1:1"}],
    }


def test_an_unknown_profile_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as refused:
        provider(profile="azure")
    assert "providers.corp.profile" in str(refused.value)
    assert "entra" in str(refused.value)


@pytest.mark.parametrize("broken", [[], "x", {"corp": "x"}, {"corp": {"profile": 1}}, {"corp": {"profile": ["entra"]}}])
def test_a_malformed_provider_table_is_not_changed_by_a_profile(broken: Any) -> None:
    assert with_profiles({"providers": broken}) == {"providers": broken}


@pytest.mark.parametrize(
    ("issuer", "profile"),
    [
        ("https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0", "entra"),
        ("https://sts.windows.net/00000000-0000-0000-0000-000000000000/", "entra"),
        ("https://tenant.b2clogin.com/00000000-0000-0000-0000-000000000000/v2.0/", "b2c"),
        ("https://idp.example.com/realms/corp", "keycloak"),
        ("https://idp.example.com/auth/realms/corp", "keycloak"),
        ("https://dev-123.okta.com/oauth2/default", "okta"),
        ("https://dev-123.oktapreview.com", "okta"),
        ("https://tenant.eu.auth0.com/", "auth0"),
        ("https://accounts.google.com", "google"),
        ("https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abcdefghi", "cognito"),
        ("https://instance-abc.zitadel.cloud", "zitadel"),
        ("https://authentik.example.com/application/o/vestibule/", "authentik"),
        ("https://gitlab.com", "gitlab"),
        ("https://auth.pingone.eu/00000000-0000-0000-0000-000000000000/as", "ping"),
        ("https://auth.pingone.com/00000000-0000-0000-0000-000000000000/as", "ping"),
        ("https://sso.pingidentity.com", "ping"),
        ("https://idp.example.com", ""),
        ("https://evilokta.com", ""),
        ("https://okta.com.evil.example", ""),
        ("https://mygitlab.com", ""),
        ("https://[", ""),
        ("", ""),
    ],
)
def test_a_profile_is_recognised_by_the_address_of_the_issuer(issuer: str, profile: str) -> None:
    assert profile_of_issuer(issuer) == profile


def test_config_show_marks_the_keys_that_the_profile_set() -> None:
    shown: Settings = settings(
        providers={
            "corp": {
                "profile": "entra",
                "issuer": "https://idp.example.com",
                "client_id": "vestibule",
                "client_secret": "unit-test-secret-0123",
                "roles_claim": "mine",
            }
        }
    )
    text = to_toml(to_masked(shown))
    assert 'userinfo = "never" # from the profile entra' in text
    assert 'roles_claim = "mine"\n' in text
    assert tomllib.loads(text)["providers"]["corp"]["allowed_hosts"] == ["graph.microsoft.com"]


@pytest.mark.parametrize("name", ["state", "nonce", "redirect_uri", "response_mode", "request", "max_age"])
def test_a_profile_cannot_set_protocol_parameters(name: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        provider(authorization_parameters={name: "x"})
    assert f"providers.corp.authorization_parameters.{name}" in str(refused.value)


ELSEWHERE = {
    "entra": {
        "issuer": "https://login.microsoftonline.com/t/v2.0",
        "authorization_endpoint": "https://login.microsoftonline.com/t/oauth2/v2.0/authorize",
        "token_endpoint": "https://login.microsoftonline.com/t/oauth2/v2.0/token",
        "jwks_uri": "https://login.microsoftonline.com/t/discovery/v2.0/keys",
        "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
        "end_session_endpoint": "https://login.microsoftonline.com/t/oauth2/v2.0/logout",
    },
    "google": {
        "issuer": "https://accounts.google.com",
        "authorization_endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
        "token_endpoint": "https://oauth2.googleapis.com/token",
        "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
        "userinfo_endpoint": "https://openidconnect.googleapis.com/v1/userinfo",
        "revocation_endpoint": "https://oauth2.googleapis.com/revoke",
    },
}
"""The endpoints that products with several hosts announce."""


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_profile_allows_the_hosts_that_its_product_announces_and_no_others(name: str) -> None:
    document = ELSEWHERE[name]
    allowed = frozenset(PROFILES[name]["allowed_hosts"])
    found = parse_metadata(document, issuer=document["issuer"], allowed_hosts=allowed)
    assert found.userinfo_endpoint == document["userinfo_endpoint"]
    for host in allowed:
        with pytest.raises(InvalidToken, match="not allowed"):
            parse_metadata(document, issuer=document["issuer"], allowed_hosts=allowed - {host})


def test_the_profiles_of_other_products_allow_no_further_hosts() -> None:
    assert {name for name in NAMES if "allowed_hosts" in PROFILES[name]} == set(ELSEWHERE)
