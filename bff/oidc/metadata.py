"""Read the metadata of a provider (OpenID Connect Discovery 1.0 sections 3 and 4.3). Pure.

Only the endpoints and the two flags below are taken from a discovery document. Scopes, client authentication,
algorithms, PKCE and transport come from our own configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bff.errors import InvalidToken
from bff.oidc.members import present

WELL_KNOWN = "/.well-known/openid-configuration"
REQUIRED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL = (
    "userinfo_endpoint",
    "end_session_endpoint",
    "revocation_endpoint",
    "pushed_authorization_request_endpoint",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """The endpoints of a provider ("" if it does not have one), and the features it announces."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    revocation_endpoint: str = ""
    pushed_authorization_request_endpoint: str = ""
    requires_par: bool = False
    sends_iss: bool = False


def discovery_url(issuer: str) -> str:
    """Build the URL of the metadata: the issuer, one slash, and the well-known path."""
    return issuer.rstrip("/") + WELL_KNOWN


def parse_metadata(document: Mapping[str, Any], *, issuer: str, allowed_hosts: frozenset[str]) -> ProviderMetadata:
    """Read the metadata of exactly `issuer`. Endpoints must be on its host or on one of `allowed_hosts` (host[:port]).

    Raises:
        InvalidToken: `discovery_issuer`, `discovery_endpoint`.
    """
    document = present(document)
    if document.get("issuer") != issuer:
        raise InvalidToken("discovery_issuer", detail="the document belongs to another issuer")
    own = urlsplit(issuer)
    endpoints = {
        name: _endpoint(document.get(name), name, own=own, allowed_hosts=allowed_hosts, required=name in REQUIRED)
        for name in (*REQUIRED, *OPTIONAL)
    }
    return ProviderMetadata(
        issuer=issuer,
        requires_par=document.get("require_pushed_authorization_requests") is True,
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        **endpoints,
    )


def _endpoint(value: Any, name: str, *, own: SplitResult, allowed_hosts: frozenset[str], required: bool) -> str:
    if value is None and not required:
        return ""
    if (
        not isinstance(value, str)
        or len(value) > 2048
        or not value.isascii()
        or not value.isprintable()
        or " " in value
    ):
        raise InvalidToken("discovery_endpoint", detail=f"{name} missing or not a URL")
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise InvalidToken("discovery_endpoint", detail=f"{name} is not a URL") from None
    if url.scheme != "https" and url.scheme != own.scheme:
        raise InvalidToken("discovery_endpoint", detail=f"{name} is not https")
    if "@" in url.netloc or url.fragment or "\\" in value or not url.hostname:
        raise InvalidToken("discovery_endpoint", detail=f"{name} has user info, a fragment or no host")
    if url.netloc.lower() != own.netloc.lower() and url.netloc.lower() not in allowed_hosts:
        raise InvalidToken("discovery_endpoint", detail=f"{name} is on a host that is not allowed")
    return value
