"""Profiles: what is peculiar to the identity providers that people use, as defaults of `[providers.NAME]`. Pure.

docs/providers.md says for each value which page of the provider's documentation states it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

_OFFLINE: Final = ("openid", "profile", "email", "offline_access")
_WITH_GROUPS: Final = ("openid", "profile", "email", "groups", "offline_access")

PROFILES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "entra": {
            "display_name": "Microsoft",
            "client_auth": "client_secret_post",
            "scopes": _OFFLINE,
            "userinfo": "never",  # it is at Microsoft Graph, adds nothing, and refuses tokens of other APIs
            "allowed_hosts": ("graph.microsoft.com",),
            "roles_claim": "roles",
            "roles_from": ("id_token",),
        },
        "keycloak": {"roles_claim": "realm_access.roles"},
        "okta": {"display_name": "Okta", "scopes": _OFFLINE, "roles_claim": "groups"},
        "auth0": {
            "client_auth": "client_secret_post",
            "scopes": _OFFLINE,
            "roles_claim": "",  # `roles` is a reserved name there: an Action adds a claim whose name is a URL
            "roles_from": ("id_token", "userinfo"),
        },
        "google": {
            "display_name": "Google",
            "allowed_hosts": ("oauth2.googleapis.com", "openidconnect.googleapis.com", "www.googleapis.com"),
            "roles_claim": "roles",
        },
        "cognito": {
            "roles_claim": "cognito:roles",
            "groups_claim": "cognito:groups",
            "logout_method": "cognito",  # its end-session endpoint knows no post_logout_redirect_uri
        },
        "zitadel": {
            "scopes": _OFFLINE,
            "trusted_audiences": ("*",),
            "roles_claim": "urn:zitadel:iam:org:project:roles",
        },
        "authentik": {"scopes": _OFFLINE, "roles_claim": "groups"},
        "gitlab": {
            "display_name": "GitLab",
            "roles_claim": "",  # it has no roles, and everybody may make a group of any free name
            "groups_claim": "groups",
        },
        "dex": {"scopes": _WITH_GROUPS, "roles_claim": "groups"},
        "ping": {"scopes": _OFFLINE, "roles_claim": "roles"},
        "b2c": {"userinfo": "never", "roles_claim": "roles", "roles_from": ("id_token",)},
    }
)

_SUFFIXES: Final = MappingProxyType(
    {
        ".b2clogin.com": "b2c",
        "login.microsoftonline.com": "entra",
        "sts.windows.net": "entra",
        ".okta.com": "okta",
        ".oktapreview.com": "okta",
        ".auth0.com": "auth0",
        "accounts.google.com": "google",
        ".zitadel.cloud": "zitadel",
        "gitlab.com": "gitlab",
        ".pingone.com": "ping",
        ".pingone.eu": "ping",
        ".pingidentity.com": "ping",
    }
)


def with_profiles(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Put the defaults of each provider's `profile` below what its table says. Anything malformed stays as it is."""
    providers = tables.get("providers")
    if not isinstance(providers, Mapping):
        return dict(tables)
    return {**tables, "providers": {name: _with_profile(table) for name, table in providers.items()}}


def _with_profile(table: Any) -> Any:
    profile = table.get("profile") if isinstance(table, Mapping) else None
    return {**PROFILES.get(profile, {}), **table} if isinstance(profile, str) else table


def profile_of_issuer(issuer: str) -> str:
    """Guess the profile from the issuer's address, "" if nothing in it is known."""
    try:
        url = urlsplit(issuer)
    except ValueError:
        return ""
    host, path = url.hostname or "", url.path
    for suffix, profile in _SUFFIXES.items():
        if host == suffix.removeprefix(".") or (suffix.startswith(".") and host.endswith(suffix)):
            return profile
    if host.startswith("cognito-idp.") and host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return "cognito"
    if "/realms/" in path:
        return "keycloak"
    if "/application/o/" in path:
        return "authentik"
    return ""
