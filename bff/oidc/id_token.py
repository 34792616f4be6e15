"""Validation of ID tokens (OpenID Connect Core sections 3.1.3.7 and 12.2)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bff.errors import InvalidToken
from bff.oidc.base64url import base64url
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import check_audience, check_issuer, check_times, number_at, verify_signature
from bff.oidc.members import present

PREFIX = "id_token"
TYPES = frozenset({"", "jwt"})
MAX_EARLY_SECONDS = 600
"""How long before the request `iat` may lie. It ties the token to nothing, `nonce` does that: it is a sanity bound.

Entra ID dates every ID token five minutes back."""
HASH_OF = {"RS256": hashlib.sha256, "PS256": hashlib.sha256, "ES256": hashlib.sha256, "EdDSA": hashlib.sha512}
TOO_LONG_AGO = "This page needs a recent sign-in, and the identity provider only confirmed an older one."
TOO_WEAK = "This page needs a stronger sign-in than the identity provider carried out."


@dataclass(frozen=True, slots=True, kw_only=True)
class IdTokenExpectation:
    """The values that an ID token must have. They come from our own configuration, not from the provider's documents.

    Times are Unix seconds. `asked_at` is when the sign-in or the refresh request began. `nonce=None` and `code=""` are
    only for refreshed tokens: they need not repeat the nonce, and have no code.
    """

    issuer: str
    client_id: str
    trusted_audiences: Collection[str] = ()
    alg: str
    now: float
    clock_skew: float
    nonce: str | None
    asked_at: float = 0
    access_token: str = ""
    code: str = ""
    max_age: float | None = None
    acr_values: tuple[str, ...] = ()


def validate_id_token(token: str, *, keys: Sequence[VerificationKey], expected: IdTokenExpectation) -> dict[str, Any]:
    """Return the claims of an ID token that meets `expected` in full.

    Raises:
        UnknownKey: none of `keys` fits; fetch the set again, once.
        InvalidToken: the code names the first rule broken: `id_token_alg`, `_typ`, `_signature`, `_iss`, `_aud`,
            `_azp`, `_sub`, `_exp`, `_iat`, `_nbf`, `_nonce`, `_at_hash`, `_c_hash`, `_auth_time`, `_acr`, `_sid`,
            `_malformed`, `_crit`.
    """
    claims = present(verify_signature(token, keys=keys, alg=expected.alg, prefix=PREFIX, types=TYPES))
    check_issuer(claims, issuer=expected.issuer, prefix=PREFIX)
    check_audience(
        claims, audience=expected.client_id, trusted=expected.trusted_audiences, prefix=PREFIX, needs_azp=True
    )
    check_subject(claims)
    check_times(claims, now=expected.now, skew=expected.clock_skew, prefix=PREFIX)
    if number_at(claims, "iat", prefix=PREFIX) < expected.asked_at - MAX_EARLY_SECONDS:
        raise InvalidToken("id_token_iat", detail="issued more than ten minutes before it was asked for")
    _check_nonce(claims, expected.nonce)
    _check_half_hash(claims, "at_hash", of=expected.access_token, alg=expected.alg)
    if expected.code:
        _check_half_hash(claims, "c_hash", of=expected.code, alg=expected.alg)
    _check_authentication(claims, expected)
    return claims


def check_subject(claims: Mapping[str, Any]) -> None:
    """Check `sub`: 1 to 255 printable ASCII characters (Core section 2). Check `sid`, if present, in the same way.

    Raises:
        InvalidToken: `id_token_sub`, `id_token_sid`.
    """
    if not is_subject(claims.get("sub")):
        raise InvalidToken("id_token_sub", detail="sub missing or not acceptable")
    if "sid" in claims and not is_subject(claims["sid"]):
        raise InvalidToken("id_token_sid", detail="sid not acceptable")


def is_subject(value: object) -> bool:
    """True for 1 to 255 printable ASCII characters."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


def check_same_person(claims: Mapping[str, Any], *, issuer: str, sub: str) -> None:
    """Check that a refreshed ID token is about the same person (Core section 12.2).

    Raises:
        InvalidToken: `refresh_subject`.
    """
    if claims.get("iss") != issuer or claims.get("sub") != sub:
        raise InvalidToken("refresh_subject", detail="the refreshed ID token is for another person")


def _check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    if nonce is None:
        return
    value = claims.get("nonce")
    if not isinstance(value, str) or not value.isascii() or not hmac.compare_digest(value, nonce):
        raise InvalidToken("id_token_nonce", detail="the nonce is missing or belongs to another sign-in")


def _check_half_hash(claims: Mapping[str, Any], name: str, *, of: str, alg: str) -> None:
    """Check `at_hash` or `c_hash`, if present: it must fit what came with the token (Core 3.1.3.6, 3.3.2.11)."""
    if name not in claims:
        return
    hasher = HASH_OF.get(alg)
    if hasher is None or not of:
        raise InvalidToken(f"id_token_{name}", detail=f"{name} cannot be checked")
    digest = hasher(of.encode()).digest()
    if claims[name] != base64url(digest[: len(digest) // 2]):
        raise InvalidToken(f"id_token_{name}", detail=f"{name} belongs to something else")


def _check_authentication(claims: dict[str, Any], expected: IdTokenExpectation) -> None:
    if expected.max_age is not None:
        authenticated_at = number_at(claims, "auth_time", prefix=PREFIX)
        too_old = expected.now - authenticated_at > expected.max_age + expected.clock_skew
        if too_old or authenticated_at > expected.now + expected.clock_skew:
            raise InvalidToken("id_token_auth_time", TOO_LONG_AGO, detail="authenticated too long ago or in the future")
    if expected.acr_values and claims.get("acr") not in expected.acr_values:
        raise InvalidToken("id_token_acr", TOO_WEAK, detail="authentication context not reached")
