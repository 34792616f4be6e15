"""The identity providers that oauth2-proxy knows by name: which speak OpenID Connect, and what is peculiar to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.faults import UsageFault


@dataclass(frozen=True, slots=True)
class Product:
    """A provider. `kind` is oauth2-proxy's word, `name` the table below `[providers]`.

    `issuer` is "" if the configuration has to name it. `is_silent_on_email` is True if it never says whether an
    address is verified, and only administrators set addresses there.
    """

    kind: str
    name: str
    profile: str = ""
    issuer: str = ""
    is_silent_on_email: bool = False


PRODUCTS: Final = {
    product.kind: product
    for product in (
        Product("oidc", "corp"),
        Product("google", "google", "google", "https://accounts.google.com"),
        Product("entra-id", "entra", "entra", is_silent_on_email=True),
        Product("azure", "entra", "entra", is_silent_on_email=True),
        Product("keycloak-oidc", "keycloak", "keycloak"),
        Product("keycloak", "keycloak", "keycloak"),
        Product("gitlab", "gitlab", "gitlab", "https://gitlab.com"),
        Product("adfs", "adfs", is_silent_on_email=True),
        Product("cidaas", "cidaas"),
        Product("login.gov", "login-gov", issuer="https://secure.login.gov/"),
    )
}
USUAL: Final = "google"
"""What oauth2-proxy takes when no provider is named."""

_IN_BETWEEN: Final = (
    "It speaks OAuth 2 without OpenID Connect, so it issues no ID token that says who signed in, and for whom. Put a "
    "provider in between that signs people in there and speaks OpenID Connect"
)
REFUSED: Final = {
    "github": f'{_IN_BETWEEN}: Dex with its connector "github" (groups are organisation:team there), or Keycloak. If '
    "this is a Gitea or Forgejo in truth: those speak OpenID Connect",
    "bitbucket": f'{_IN_BETWEEN}: Dex with its connector "bitbucketcloud", or Keycloak',
    "digitalocean": f"{_IN_BETWEEN}: Keycloak or authentik with a generic OAuth 2 source",
    "facebook": f"{_IN_BETWEEN}: Keycloak or authentik, which know Facebook",
    "linkedin": f'{_IN_BETWEEN}: Dex with its connector "linkedin", or Keycloak',
    "nextcloud": f'{_IN_BETWEEN}; or install the app "OIDC Identity Provider" in Nextcloud, which makes it one',
    "sourcehut": f"{_IN_BETWEEN}: authentik with a generic OAuth 2 source",
}
"""Providers without OpenID Connect, and what to do."""
THEN: Final = (
    'Then write provider = "oidc", its oidc_issuer_url, client_id and client_secret into the old configuration, say '
    "who may come in as allowed_groups or email_domains, and run this command again."
)


def product_of(kind: str) -> Product:
    """Find a provider by oauth2-proxy's word for it.

    Raises:
        UsageFault: it does not speak OpenID Connect, or there is no such provider.
    """
    if kind in REFUSED:
        raise UsageFault(f"provider {kind}: nothing was written. {REFUSED[kind]}. {THEN}")
    if kind not in PRODUCTS:
        raise UsageFault(f"provider {kind!r}: oauth2-proxy has no such provider; correct it")
    return PRODUCTS[kind]
