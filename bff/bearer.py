"""What API authors import: who calls, by token, by the proxy's headers or by key, and what the caller must have.

`from bff.bearer import JWTBearer, RequireRoles` is the stable place; the modules of `bff.api` behind it are not.
"""

from __future__ import annotations

from bff.api.api_keys import APIKey, KeyHolder
from bff.api.bearer import JWTBearer, RequireRoles, RequireScopes
from bff.api.development_tokens import mint_development_token
from bff.api.settings import JWTBearerMisconfigured
from bff.api.tokens import StandardClaims
from bff.api.trusted_proxy import ProxiedUser, TrustedProxyUser
from bff.api.upstream_secret import RequireUpstreamSecret, read_upstream_secret
from bff.api.verifier import TokenVerifier
from bff.errors import InvalidToken, ProviderUnavailable

__all__ = [
    "APIKey",
    "InvalidToken",
    "JWTBearer",
    "JWTBearerMisconfigured",
    "KeyHolder",
    "ProviderUnavailable",
    "ProxiedUser",
    "RequireRoles",
    "RequireScopes",
    "RequireUpstreamSecret",
    "StandardClaims",
    "TokenVerifier",
    "TrustedProxyUser",
    "mint_development_token",
    "read_upstream_secret",
]
