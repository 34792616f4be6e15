"""What makes a bearer JWT acceptable to an API (RFC 9068 section 4, RFC 8725). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import PyJWTError

from bff.claims import names_at, text_at
from bff.errors import InvalidToken
from bff.oidc.id_token import is_subject
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import check_issuer, check_times, number_at, read_header, verify_signature
from bff.oidc.strict_json import parse_object

PREFIX = "bearer"
TYPES = frozenset({"at+jwt"})
FOREIGN_CLAIMS = ("nonce", "at_hash", "events", "htu")
"""Marks of ID tokens, logout tokens and DPoP proofs: none of them is an access token."""


@dataclass(frozen=True, slots=True)
class BearerRules:
    """What one API accepts. `leeway` is seconds."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway: float
    roles_claim: str = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardClaims:
    """The caller of an API. `exp` and `iat` are Unix seconds; `claims` holds everything the token said."""

    sub: str
    iss: str
    aud: tuple[str, ...]
    exp: int
    iat: int
    email: str = ""
    email_verified: bool = False
    name: str = ""
    preferred_username: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict)

    def has_role(self, *roles: str) -> bool:
        """True when the caller has at least one of `roles`."""
        return any(role in self.roles for role in roles)

    def has_scope(self, *scopes: str) -> bool:
        """True when the token carries every one of `scopes`."""
        return all(scope in self.scopes for scope in scopes)


def validate_bearer(token: str, *, keys: Sequence[VerificationKey], rules: BearerRules, now: float) -> StandardClaims:
    """The caller named by an access token signed with one of `keys`.

    Raises:
        UnknownKey, InvalidToken: `bearer_` + `alg`, `typ`, `signature`, `iss`, `aud`, `exp`, `iat`, `sub`, `kind` …
    """
    alg = read_header(token, prefix=PREFIX).alg
    if alg not in rules.algorithms:
        raise InvalidToken("bearer_alg", detail="algorithm is not allowed")
    return _checked(verify_signature(token, keys=keys, alg=alg, prefix=PREFIX, types=TYPES), rules, now)


def validate_development_bearer(token: str, *, secret: str, rules: BearerRules, now: float) -> StandardClaims:
    """The caller named by an HS256 token under a secret shared for development.

    Raises:
        InvalidToken: as `validate_bearer`.
    """
    header = read_header(token, prefix=PREFIX)
    if header.alg != "HS256":
        raise InvalidToken("bearer_alg", detail="algorithm is not allowed")
    if header.typ not in TYPES:
        raise InvalidToken("bearer_typ", detail="token of another type")
    try:
        payload = jwt.api_jws.decode(token, secret, algorithms=["HS256"])
    except (PyJWTError, ValueError, TypeError):
        raise InvalidToken("bearer_signature", detail="signature does not verify") from None
    return _checked(parse_object(payload, code="bearer_malformed"), rules, now)


def _checked(claims: dict[str, Any], rules: BearerRules, now: float) -> StandardClaims:
    check_issuer(claims, issuer=rules.issuer, prefix=PREFIX)
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or rules.audience not in audiences:
        raise InvalidToken("bearer_aud", detail="meant for another audience")
    check_times(claims, now=now, skew=rules.leeway, prefix=PREFIX)
    if not is_subject(claims.get("sub")):
        raise InvalidToken("bearer_sub", detail="sub missing or not acceptable")
    if any(name in claims for name in FOREIGN_CLAIMS) or "cnf" in claims:
        raise InvalidToken("bearer_kind", detail="no plain bearer access token")
    scope = claims.get("scope", "")
    return StandardClaims(
        sub=claims["sub"],
        iss=rules.issuer,
        aud=tuple(audience for audience in audiences if isinstance(audience, str)),
        exp=int(number_at(claims, "exp", prefix=PREFIX)),
        iat=int(number_at(claims, "iat", prefix=PREFIX)),
        email=text_at(claims, "email"),
        email_verified=claims.get("email_verified") is True,
        name=text_at(claims, "name"),
        preferred_username=text_at(claims, "preferred_username"),
        roles=names_at(claims, rules.roles_claim),
        groups=names_at(claims, "groups"),
        scopes=frozenset(scope.split()) if isinstance(scope, str) else frozenset(),
        claims=claims,
    )
