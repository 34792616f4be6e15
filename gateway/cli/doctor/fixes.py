"""What to add at each kind of provider so that a claim arrives. The issuer shows the kind. See docs/providers.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

Kind = Literal["keycloak", "entra", "okta", "auth0", "google", "dex", "other"]
_BY_HOST: Final[tuple[tuple[str, Kind], ...]] = (
    ("login.microsoftonline.com", "entra"),
    ("login.microsoftonline.us", "entra"),
    ("login.partner.microsoftonline.cn", "entra"),
    ("okta.com", "okta"),
    ("oktapreview.com", "okta"),
    ("okta-emea.com", "okta"),
    ("auth0.com", "auth0"),
    ("accounts.google.com", "google"),
)
_GENERAL: Final[Mapping[str, str]] = {
    "sub": "every OpenID provider must send it",
    "name": 'add "profile" to scopes',
    "email": 'add "email" to scopes',
    "email_verified": "without it `emails` and `email_domains` admit nobody, and applications get no address: use "
    'groups or roles, or set email_verified = "assume" if people cannot choose their address there',
    "roles": "map roles into the ID token or userinfo at the provider, and set roles_claim to their path",
    "groups": "map groups into the ID token or userinfo at the provider, and set groups_claim to their path",
    "sid": "back-channel logout then works only by `sub`, for all of a person's sessions",
    "auth_time": "without it no sign-in passes a route with max_age_seconds",
    "acr": "without it no sign-in passes a route with acr_any",
    "refresh token": 'add "offline_access" to scopes if the provider has it; else use token = "assertion"',
    "access token": 'use token = "assertion" for such routes',
    "audience": "have the provider put the API's name into `aud`, and let the API ask for exactly that",
}
_BY_KIND: Final[Mapping[Kind, Mapping[str, str]]] = {
    "keycloak": {
        "name": 'give the client the scope "profile"',
        "email": 'give the client the scope "email", and the person an address',
        "email_verified": 'give the client the scope "email"',
        "roles": "add the mapper User Realm Role to the client, claim name realm_access.roles, and add it to the ID "
        "token and userinfo; or keep access_token in roles_from",
        "groups": "add the mapper Group Membership to the client, claim name groups, full path off, and add it to the "
        "ID token and userinfo",
        "auth_time": 'give the client the scope "basic"',
        "acr": 'give the client the scope "acr"',
        "refresh token": "switch on Use refresh tokens in the client's advanced settings",
        "audience": "add the mapper Audience to the client, with the API's name as included custom audience",
    },
    "entra": {
        "email": "add the optional claim email to the ID token (Token configuration)",
        "email_verified": "Entra ID never sends it, so `emails` and `email_domains` admit nobody, and applications get "
        'no address: use roles or groups, or set email_verified = "assume" if only administrators set addresses',
        "roles": 'define App roles, assign people to them, and set roles_claim = "roles"',
        "groups": "add the groups claim (Token configuration); it holds object ids, and nothing for people in more "
        "than 200 groups",
        "sid": "add the optional claim sid to the ID token (Token configuration)",
        "auth_time": "add the optional claim auth_time to the ID token (Token configuration)",
        "refresh token": 'add "offline_access" to scopes',
        "access token": 'ask for a scope of the API\'s own (api://…/…), which takes userinfo = "never"',
        "audience": "ask for a scope of the API's own (api://…/…)",
    },
    "okta": {
        "roles": "add a claim to the authorization server, and set roles_claim to its name",
        "groups": "add a groups claim with a filter to the app or the authorization server",
        "refresh token": 'allow the grant type Refresh Token for the app and add "offline_access" to scopes',
        "access token": "use a custom authorization server (issuer …/oauth2/…): tokens of the org's own are for Okta",
    },
    "auth0": {
        "roles": "set them in a post-login Action under a claim that is a URL, and set roles_claim to that URL",
        "groups": "set them in a post-login Action under a claim that is a URL, and set groups_claim to that URL",
        "refresh token": 'allow offline access for the API and add "offline_access" to scopes',
        "access token": "set a default audience for the tenant: without an API the token is opaque",
    },
    "google": {
        "roles": "Google has none: define [roles.*] by emails, by email_domains or by the claim hd",
        "groups": "Google has none: define [roles.*] by emails, by email_domains or by the claim hd",
        "sid": "Google has none, and no back-channel logout",
        "auth_time": "Google sends it only where it is configured to; leave max_age_seconds out",
        "acr": "Google has none: leave acr_any out",
        "refresh token": 'Google gives none here: use token = "assertion"',
        "access token": 'tokens of Google are for Google: use token = "assertion"',
    },
    "dex": {
        "roles": 'Dex has none: set roles_claim = "groups", or define [roles.*] by groups_any',
        "groups": 'add "groups" to scopes; the connector must support them',
        "sid": "Dex has none, and no back-channel logout",
        "auth_time": "Dex has none: leave max_age_seconds out",
        "acr": "Dex has none: leave acr_any out",
        "refresh token": 'add "offline_access" to scopes; the connector must support it',
    },
    "other": {},
}


def kind_of(issuer: str) -> Kind:
    """Return which product an issuer most likely is; `other` if its address does not show it."""
    url = urlsplit(issuer)
    host = (url.hostname or "").lower()
    for suffix, kind in _BY_HOST:
        if host == suffix or host.endswith("." + suffix):
            return kind
    if "/realms/" in url.path:
        return "keycloak"
    return "dex" if url.path.rstrip("/").endswith("/dex") else "other"


def fix_for(issuer: str, claim: str, *, scopes: Collection[str] = ()) -> str:
    """Return the fix for a missing `claim`, one of the keys above, at the provider `issuer` with these `scopes`."""
    fix = _BY_KIND[kind_of(issuer)].get(claim) or _GENERAL[claim]
    for scope in scopes:
        if f'add "{scope}" to scopes' in fix:
            return f'the provider did not send it, although scopes has "{scope}": see what this client and person have'
    return fix
