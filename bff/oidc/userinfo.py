"""Read UserInfo responses (OpenID Connect Core section 5.3)."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bff.errors import InvalidToken
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import check_audience, check_issuer, verify_signature
from bff.oidc.members import present
from bff.oidc.strict_json import parse_object

PREFIX = "userinfo"
PROTECTED = frozenset({"iss", "sub", "aud", "azp", "sid", "exp", "iat", "nonce", "acr", "amr", "auth_time", "at_hash"})
"""Claims of the ID token that userinfo never overrides."""


def parse_userinfo(
    body: bytes,
    *,
    content_type: str,
    keys: Sequence[VerificationKey],
    alg: str,
    issuer: str,
    client_id: str,
    trusted_audiences: Collection[str] = (),
    sub: str,
) -> dict[str, Any]:
    """Return the claims of a userinfo response about `sub`. It is JSON, or a JWT signed with the pinned `alg`.

    Raises:
        InvalidToken: `userinfo_sub`, `userinfo_malformed` or a signature code with the prefix `userinfo`.
    """
    if content_type.partition(";")[0].strip().lower() == "application/jwt":
        token = body.decode("ascii", errors="replace").strip()
        claims = present(verify_signature(token, keys=keys, alg=alg, prefix=PREFIX, types=frozenset({"", "jwt"})))
        check_issuer(claims, issuer=issuer, prefix=PREFIX)
        check_audience(claims, audience=client_id, trusted=trusted_audiences, prefix=PREFIX)
    else:
        claims = present(parse_object(body, code="userinfo_malformed"))
    value = claims.get("sub")
    if not isinstance(value, str) or not value.isascii() or not hmac.compare_digest(value, sub):
        raise InvalidToken("userinfo_sub", detail="userinfo of another person")
    return claims


def merge_claims(id_token: Mapping[str, Any], userinfo: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims of the ID token, replaced by those of userinfo except for the protected ones."""
    return {**id_token, **{name: value for name, value in userinfo.items() if name not in PROTECTED}}
