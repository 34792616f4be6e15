"""Everything that API authors import: who the caller is (by token, proxy headers or key), and what a caller needs.

`from bff.bearer import JWTBearer, RequireRoles` stays stable; the modules of `bff.api` may change.
"""

from __future__ import annotations

from bff.api.api_keys import APIKey, KeyHolder
from bff.api.bearer import JWTBearer, RequireGroups, RequireRoles, RequireScopes
from bff.api.development_tokens import mint_development_token
from bff.api.settings import JWTBearerMisconfigured
from bff.api.tokens import StandardClaims
from bff.api.trusted_proxy import ProxiedUser, TrustedProxyUser
from bff.api.upstream_secret import RequireUpstreamSecret, read_upstream_secret
from bff.api.verifier import TokenVerifier
from bff.api.whole_identity import IdentityOmitted
from bff.errors import InvalidToken, ProviderUnavailable

__all__ = [
    "APIKey",
    "IdentityOmitted",
    "InvalidToken",
    "JWTBearer",
    "JWTBearerMisconfigured",
    "KeyHolder",
    "ProviderUnavailable",
    "ProxiedUser",
    "RequireGroups",
    "RequireRoles",
    "RequireScopes",
    "RequireUpstreamSecret",
    "StandardClaims",
    "TokenVerifier",
    "TrustedProxyUser",
    "mint_development_token",
    "read_upstream_secret",
]
