"""Check whether an API may accept a bearer JWT (RFC 9068 section 4, RFC 8725). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jwt
from jwt import PyJWTError

from bff.errors import InvalidToken
from bff.oidc.claims import names_at, text_at
from bff.oidc.id_token import is_subject
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import (
    Header,
    algorithm_not_allowed,
    check_issuer,
    check_times,
    number_at,
    read_header,
    token_of_another_type,
    unexpected,
    verify_signature,
)
from bff.oidc.members import present
from bff.oidc.scopes import scope_names
from bff.oidc.strict_json import parse_object

PREFIX = "bearer"
TYPES = frozenset({"at+jwt"})
TOKEN_TYPES = ("at+jwt", "jwt")
"""Allowed values of `BearerRules.token_types`: RFC 9068, and `JWT` for providers that set `typ: JWT` or none."""
FOREIGN_CLAIMS = ("at_hash", "c_hash", "s_hash", "events", "htu", "cnf")
"""Claims that show an ID token, a logout token, a DPoP proof or a token bound to a key: not a plain access token.

They must not be there, whatever their value."""
ACCESS_KINDS = frozenset({"bearer", "access"})
"""Values of `typ` (Keycloak) or `token_use` (Cognito) in access tokens."""
FOREIGN_KINDS = frozenset({"id", "refresh", "offline", "logout"})
"""Values of `typ` (Keycloak) or `token_use` (Cognito) in tokens that are not for APIs."""


@dataclass(frozen=True, slots=True)
class BearerRules:
    """The rules of one API for tokens. `leeway` is seconds.

    With `needs_kind` a token must say that it is an access token: by its `typ` header, or in its payload.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway: float
    roles_claim: str = "roles"
    token_types: tuple[str, ...] = ("at+jwt",)
    needs_kind: bool = False

    @property
    def types(self) -> frozenset[str]:
        """Acceptable `typ` headers; "" stands for a token without one."""
        return frozenset(self.token_types) | ({""} if "jwt" in self.token_types else frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardClaims:
    """The caller of an API. `exp` and `iat` are Unix seconds; `claims` holds all claims of the token.

    `omitted` names what the front door left out because it did not fit: an empty list that is named there is unknown.
    """

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
    omitted: tuple[str, ...] = ()

    def has_role(self, *roles: str) -> bool:
        """True if the caller has at least one of `roles`."""
        return any(role in self.roles for role in roles)

    def has_group(self, *groups: str) -> bool:
        """True if the caller is in at least one of `groups`."""
        return any(group in self.groups for group in groups)

    def has_scope(self, *scopes: str) -> bool:
        """True if the token carries every one of `scopes`."""
        return all(scope in self.scopes for scope in scopes)


def validate_bearer(token: str, *, keys: Sequence[VerificationKey], rules: BearerRules, now: float) -> StandardClaims:
    """Return the caller that an access token names; the token must be signed with one of `keys`.

    Raises:
        UnknownKey, InvalidToken: `bearer_` + `alg`, `typ`, `signature`, `iss`, `aud`, `exp`, `iat`, `sub`, `kind` …
    """
    header = _checked_header(token, rules)
    payload = verify_signature(token, keys=keys, alg=header.alg, prefix=PREFIX, types=rules.types)
    return _checked(payload, rules, now, typ=header.typ)


def check_header(token: str, rules: BearerRules) -> str:
    """Check form, algorithm and type of a token before any key is fetched; return its algorithm.

    Raises:
        InvalidToken: `bearer_malformed`, `bearer_crit`, `bearer_alg`, `bearer_typ`.
    """
    return _checked_header(token, rules).alg


def _checked_header(token: str, rules: BearerRules) -> Header:
    header = read_header(token, prefix=PREFIX)
    if header.alg not in rules.algorithms:
        raise algorithm_not_allowed(header, algorithms=rules.algorithms, prefix=PREFIX)
    if header.typ not in rules.types:
        raise token_of_another_type(header, types=rules.types, prefix=PREFIX)
    return header


def validate_development_bearer(token: str, *, secret: str, rules: BearerRules, now: float) -> StandardClaims:
    """Return the caller that an HS256 token names; it must be signed with the shared development secret.

    Raises:
        InvalidToken: as `validate_bearer`.
    """
    header = read_header(token, prefix=PREFIX)
    if header.alg != "HS256":
        raise algorithm_not_allowed(header, algorithms=("HS256",), prefix=PREFIX)
    if header.typ not in TYPES:
        raise token_of_another_type(header, types=TYPES, prefix=PREFIX)
    try:
        payload = jwt.api_jws.decode(token, secret, algorithms=["HS256"])
    except (PyJWTError, ValueError, TypeError):
        raise InvalidToken("bearer_signature", detail="signature does not verify") from None
    return _checked(parse_object(payload, code="bearer_malformed"), rules, now, typ=header.typ)


def _checked(payload: dict[str, Any], rules: BearerRules, now: float, *, typ: str) -> StandardClaims:
    claims = present(payload)
    check_issuer(claims, issuer=rules.issuer, prefix=PREFIX)
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if not isinstance(audiences, list) or rules.audience not in audiences:
        raise unexpected("bearer_aud", "meant for", expected=rules.audience, found=claims.get("aud"))
    check_times(claims, now=now, skew=rules.leeway, prefix=PREFIX)
    if not is_subject(claims.get("sub")):
        raise InvalidToken("bearer_sub", detail="sub missing or not acceptable")
    _check_kind(payload, rules, typ=typ)
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
        scopes=_scopes(payload),
        claims=payload,
        omitted=_omitted(claims),
    )


def with_claims(caller: StandardClaims, claims: Mapping[str, Any], *, roles_claim: str) -> StandardClaims:
    """Return `caller` with the claims that its token left out. Nothing is omitted any more."""
    return replace(
        caller,
        email=text_at(claims, "email"),
        name=text_at(claims, "name"),
        preferred_username=text_at(claims, "preferred_username"),
        roles=names_at(claims, roles_claim),
        groups=names_at(claims, "groups"),
        scopes=_scopes(claims),
        claims=claims,
        omitted=(),
    )


def _omitted(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the front door left out. Its tokens then hold a reference too; a provider's token does not."""
    return names_at(claims, "omitted") if isinstance(claims.get("identity"), str) else ()


def _check_kind(payload: Mapping[str, Any], rules: BearerRules, *, typ: str) -> None:
    """Refuse ID tokens and all other tokens that are not plain bearer access tokens.

    What a token says about its own kind counts more than a `nonce`. Keycloak up to 24 put a `nonce` into access tokens
    too.
    """
    kinds = {kind.lower() for name in ("typ", "token_use") if isinstance(kind := payload.get(name), str)}
    if foreign := kinds & FOREIGN_KINDS:
        raise unexpected("bearer_kind", "a token of the kind", expected="access token", found=min(foreign))
    says_access = typ in TYPES or not kinds.isdisjoint(ACCESS_KINDS)
    if rules.needs_kind and not says_access:
        raise unexpected("bearer_kind", "a token of the kind", expected="access token", found=payload.get("typ"))
    for name in (*FOREIGN_CLAIMS, *(() if says_access else ("nonce",))):
        if name in payload:
            raise InvalidToken("bearer_kind", detail=f"has {name}, so it is not a plain access token", found=name)


def _scopes(payload: Mapping[str, Any]) -> frozenset[str]:
    """Read `scope` (RFC 9068 section 2.2.3), else `scp` as Entra ID and Okta write it: one string or a list.

    An empty `scope` is not an absent one: it grants nothing.
    """
    value = payload.get("scope")
    if value is None:
        value = payload.get("scp", "")
    if isinstance(value, str):
        return frozenset(scope_names(value))
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()
