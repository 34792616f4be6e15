"""`deploy/keycloak`: the realm fits the configuration beside it, address by address, and allows nothing more."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from typing import Any

import pytest

from bff.settings.loading import parse_settings
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import SECRET_FIELDS, Settings
from tests.markdown import blocks_of
from tests.repository import ROOT

FOLDER = ROOT / "deploy" / "keycloak"
A_SECRET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF"
ALLOWED_FLOWS = {
    "standardFlowEnabled": True,
    "implicitFlowEnabled": False,
    "directAccessGrantsEnabled": False,
    "serviceAccountsEnabled": False,
    "publicClient": False,
    "bearerOnly": False,
}


def settings() -> Settings:
    """The sample with a secret in place of each `*_file`: the reader's files are not here."""
    tables = deepcopy(tomllib.loads((FOLDER / "vestibule.toml").read_text(encoding="utf-8")))
    for place, keys in SECRET_FIELDS.items():
        head, _, rest = place.partition(".")
        given = tables.get(head, {})
        for table in given.values() if rest else given if isinstance(given, list) else [given]:
            for key in keys:
                if table.pop(f"{key}_file", ""):
                    table[key] = [A_SECRET] if key == "keys" else A_SECRET
    return parse_settings(tables, source="deploy/keycloak/vestibule.toml")


@pytest.fixture(scope="module")
def realm() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "realm.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def client(realm: dict[str, Any]) -> dict[str, Any]:
    [only] = realm["clients"]
    assert isinstance(only, dict)
    return only


@pytest.fixture(scope="module")
def urls() -> PublicUrls:
    server = settings().server
    return PublicUrls(server.public_url, server.auth_path)


def mapper(client: dict[str, Any], kind: str) -> dict[str, str]:
    [config] = [mapper["config"] for mapper in client["protocolMappers"] if mapper["protocolMapper"] == kind]
    assert isinstance(config, dict)
    return config


def test_the_sample_configuration_is_valid_and_has_this_realm_and_client(
    realm: dict[str, Any], client: dict[str, Any]
) -> None:
    [(name, provider)] = settings().providers.items()
    assert name == "corp"
    assert provider.issuer.endswith(f"/realms/{realm['realm']}")
    assert provider.client_id == client["clientId"]
    assert provider.client_auth == "client_secret_basic"
    assert client["clientAuthenticatorType"] == "client-secret"
    assert provider.id_token_alg == client["attributes"]["id.token.signed.response.alg"]


def test_every_address_in_the_realm_is_the_one_that_the_front_door_uses(
    client: dict[str, Any], urls: PublicUrls
) -> None:
    attributes = client["attributes"]
    assert client["redirectUris"] == [urls.callback("corp")]
    assert attributes["post.logout.redirect.uris"] == urls.post_logout
    assert attributes["backchannel.logout.url"] == urls.backchannel_logout("corp")
    assert client["rootUrl"] == urls.base


def test_the_sample_in_the_documentation_matches_the_realm(client: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    sample = next(tomllib.loads(block.text) for block in blocks_of(page) if block.language == "toml")
    urls = PublicUrls(sample["server"]["public_url"])
    [(name, provider)] = sample["providers"].items()
    assert client["redirectUris"] == [urls.callback(name)]
    assert client["attributes"]["backchannel.logout.url"] == urls.backchannel_logout(name)
    assert provider["client_id"] == client["clientId"]
    assert provider["issuer"] == settings().providers["corp"].issuer


def test_only_the_code_flow_with_pkce_is_allowed(client: dict[str, Any]) -> None:
    assert {name: client[name] for name in ALLOWED_FLOWS} == ALLOWED_FLOWS
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert client["attributes"]["oauth2.device.authorization.grant.enabled"] == "false"
    assert client["webOrigins"] == []
    assert "*" not in "".join(client["redirectUris"])


def test_keycloak_sends_back_channel_logouts_with_the_session_id(client: dict[str, Any]) -> None:
    assert client["attributes"]["backchannel.logout.session.required"] == "true"
    assert client["frontchannelLogout"] is False  # with it on, Keycloak leaves the back channel out


def test_roles_and_groups_are_in_the_claims_that_the_configuration_names(client: dict[str, Any]) -> None:
    provider = settings().providers["corp"]
    roles = mapper(client, "oidc-usermodel-realm-role-mapper")
    groups = mapper(client, "oidc-group-membership-mapper")
    assert roles["claim.name"] == provider.roles_claim
    assert roles["multivalued"] == "true"
    assert groups["claim.name"] == provider.groups_claim
    assert groups["full.path"] == "false"
    for config in (roles, groups):
        assert config["id.token.claim"] == config["userinfo.token.claim"] == "true"
    assert {"id_token", "userinfo"} <= set(provider.roles_from)


def test_access_tokens_have_the_audience_of_the_api_and_id_tokens_do_not(client: dict[str, Any]) -> None:
    config = mapper(client, "oidc-audience-mapper")
    api = settings().route("api")
    assert api is not None
    assert api.token == "access_token"
    assert config["included.custom.audience"] == api.audience
    assert (config["access.token.claim"], config["id.token.claim"]) == ("true", "false")


def test_the_people_have_existing_roles_that_the_routes_require(realm: dict[str, Any]) -> None:
    known = {role["name"] for role in realm["roles"]["realm"]}
    given = {person["username"]: set(person["realmRoles"]) for person in realm["users"]}
    assert given["alice"] | given["bob"] <= known
    api = settings().route("api")
    assert api is not None
    wanted = set(api.require.roles_any)
    assert wanted & given["alice"]
    assert not wanted & given["bob"]
    groups = {f"/{group['name']}" for group in realm["groups"]}
    assert {group for person in realm["users"] for group in person["groups"]} <= groups


def test_the_realm_file_has_no_secret_and_only_temporary_passwords(
    realm: dict[str, Any], client: dict[str, Any]
) -> None:
    assert client["secret"] == "${VESTIBULE_CLIENT_SECRET}"
    for person in realm["users"]:
        [credential] = person["credentials"]
        assert credential["value"] == f"change-me-{person['username']}"
        assert credential["temporary"] is True
        assert person["requiredActions"] == ["UPDATE_PASSWORD"], "an import alone does not act on `temporary`"


def test_the_realm_file_does_not_redefine_built_in_client_scopes(realm: dict[str, Any], client: dict[str, Any]) -> None:
    """A realm that names client scopes gets only those, and loses `profile`, `email`, `roles` and `basic`."""
    assert "clientScopes" not in realm
    assert "defaultClientScopes" not in client
