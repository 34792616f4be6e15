"""What makes a bearer JWT acceptable to an API (RFC 9068 section 4, RFC 8725). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import PyJWTError

from bff.errors import InvalidToken
from bff.oidc.claims import names_at, text_at
from bff.oidc.id_token import is_subject
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import check_issuer, check_times, number_at, read_header, verify_signature
from bff.oidc.strict_json import parse_object

PREFIX = "bearer"
TYPES = frozenset({"at+jwt"})
TOKEN_TYPES = ("at+jwt", "jwt")
"""What `BearerRules.token_types` may hold: RFC 9068, and tokens of `typ: JWT` or none, as many providers issue them."""
FOREIGN_CLAIMS = ("nonce", "at_hash", "c_hash", "s_hash", "events", "htu", "cnf")
"""Marks of ID tokens, logout tokens, DPoP proofs and tokens bound to a key: none of them is a plain access token."""
FOREIGN_KINDS = frozenset({"id", "refresh", "offline", "logout"})
"""What providers write into `typ` (Keycloak) or `token_use` (Cognito) of tokens that are not for APIs."""


@dataclass(frozen=True, slots=True)
class BearerRules:
    """What one API accepts. `leeway` is seconds."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway: float
    roles_claim: str = "roles"
    token_types: tuple[str, ...] = ("at+jwt",)

    @property
    def types(self) -> frozenset[str]:
        """Acceptable `typ` headers; "" stands for none."""
        return frozenset(self.token_types) | ({""} if "jwt" in self.token_types else frozenset())


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
    alg = check_header(token, rules)
    return _checked(verify_signature(token, keys=keys, alg=alg, prefix=PREFIX, types=rules.types), rules, now)


def check_header(token: str, rules: BearerRules) -> str:
    """The algorithm of a token that is worth fetching keys for: well formed, of an allowed algorithm and type.

    Raises:
        InvalidToken: `bearer_malformed`, `bearer_crit`, `bearer_alg`, `bearer_typ`.
    """
    header = read_header(token, prefix=PREFIX)
    if header.alg not in rules.algorithms:
        raise InvalidToken("bearer_alg", detail="algorithm is not allowed")
    if header.typ not in rules.types:
        raise InvalidToken("bearer_typ", detail="token of another type")
    return header.alg


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
    if not _is_access_token(claims):
        raise InvalidToken("bearer_kind", detail="no plain bearer access token")
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
        scopes=_scopes(claims),
        claims=claims,
    )


def _is_access_token(claims: Mapping[str, Any]) -> bool:
    kinds = (claims.get("typ"), claims.get("token_use"))
    return not any(name in claims for name in FOREIGN_CLAIMS) and not any(
        isinstance(kind, str) and kind.lower() in FOREIGN_KINDS for kind in kinds
    )


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """`scope` (RFC 9068 section 2.2.3), else `scp` as Entra ID and Okta write it; a text or a list of them."""
    value = claims.get("scope", claims.get("scp", ""))
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()
