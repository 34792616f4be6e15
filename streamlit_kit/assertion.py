"""Verify the handshake assertion and make a `PageSession` of it (RFC 7519, RFC 8725)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Final

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bff.contract import KIT_AUDIENCE_PREFIX, TYP_HANDSHAKE, Identity
from streamlit_kit.errors import KitError, KitMisconfigured
from streamlit_kit.keys import ALGORITHM
from streamlit_kit.paths import is_route_path

_MAX_CHARACTERS: Final = 32_768
_SKEW_SECONDS: Final = 60
"""Seconds by which the two clocks may differ, for `iat` and `nbf`. The end of a session is never extended."""
_CODES: Final[Mapping[type[jwt.PyJWTError], str]] = MappingProxyType(
    {
        jwt.ExpiredSignatureError: "assertion_exp",
        jwt.ImmatureSignatureError: "assertion_iat",
        jwt.InvalidSignatureError: "assertion_signature",
        jwt.MissingRequiredClaimError: "assertion_claim_missing",
    }
)

Text = Annotated[str, Field(strict=True)]
Filled = Annotated[str, Field(strict=True, min_length=1)]
Seconds = Annotated[int, Field(ge=0, lt=2**53)]


class AssertionRejected(KitError):
    """The handshake does not prove who is there. `code` names the rule that it breaks."""

    default_code = "assertion_rejected"
    default_message = "The page cannot tell who you are from the way it was opened."


@dataclass(frozen=True, slots=True)
class PageSession:
    """A person's session in one page.

    `handle` gives no access without the kit credential, and ends with the session. `ended` is set once the front door
    has said that the session is over.
    """

    identity: Identity
    handle: str = field(repr=False)
    routes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    omitted: tuple[str, ...] = ()
    """What the handshake left out, because it did not fit."""
    ended: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)


class PersonClaims(BaseModel):
    """The claims about a person that the front door itself makes, with exact types. All others are kept separately."""

    model_config = ConfigDict(frozen=True, extra="allow")

    sub: Filled
    provider: Text = ""
    name: Text = ""
    email: Text = ""
    email_verified: Annotated[bool, Field(strict=True)] = False
    preferred_username: Text = ""
    roles: tuple[Text, ...] = ()
    groups: tuple[Text, ...] = ()
    acr: Text = ""
    auth_time: Seconds = 0

    def to_identity(self, *, iss: str, expires_at: int, claims: Mapping[str, Any]) -> Identity:
        return Identity(
            sub=self.sub,
            iss=iss,
            provider=self.provider,
            name=self.name,
            email=self.email,
            email_verified=self.email_verified,
            preferred_username=self.preferred_username,
            roles=self.roles,
            groups=self.groups,
            acr=self.acr,
            auth_time=self.auth_time,
            expires_at=expires_at,
            claims=MappingProxyType(dict(claims)),
        )


class _HandshakeClaims(PersonClaims):
    iss: Filled
    aud: Text | list[Text]
    exp: Seconds
    iat: Seconds
    nbf: Seconds = 0
    jti: Text = ""
    idp: Text = ""
    session_expires_at: Seconds = 0
    routes: Mapping[Text, Text] = Field(default_factory=dict)
    omitted: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What an assertion for this page must say. `issuer` is "" if this process does not know the public address."""

    client: str
    issuer: str = ""


def read_assertion(
    assertion: str,
    handle: str,
    *,
    find_key: Callable[[str], jwt.PyJWK | None],
    expected: Expected,
    now: float,
) -> PageSession:
    """Raises: AssertionRejected; KitMisconfigured when it is genuine but meant for another kit client."""
    if not handle or not handle.isascii() or not handle.isprintable():
        raise AssertionRejected(code="session_handle_missing")
    kid = _read_kid(assertion)
    key = find_key(kid)
    if key is None:
        raise AssertionRejected(code="assertion_kid")
    claims = _verify(assertion, key, expected)
    if claims.exp <= now:
        raise AssertionRejected(code="assertion_exp")
    identity = claims.to_identity(
        iss=claims.idp or claims.iss,
        expires_at=claims.session_expires_at or claims.exp,
        claims=claims.model_extra or {},
    )
    return PageSession(identity=identity, handle=handle, routes=parse_routes(claims.routes), omitted=claims.omitted)


def parse_routes(routes: Mapping[str, str]) -> Mapping[str, str]:
    """Raises: AssertionRejected when a path cannot be a route's."""
    if not all(is_route_path(path) for path in routes.values()):
        raise AssertionRejected(code="assertion_routes")
    return MappingProxyType(dict(routes))


def _read_kid(assertion: str) -> str:
    if len(assertion) > _MAX_CHARACTERS or "=" in assertion or assertion.count(".") != 2:
        raise AssertionRejected(code="assertion_malformed")
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.PyJWTError as exc:
        raise AssertionRejected(code="assertion_malformed") from exc
    if header.get("alg") != ALGORITHM:
        raise AssertionRejected(code="assertion_alg")
    if header.get("typ") != TYP_HANDSHAKE:
        raise AssertionRejected(code="assertion_typ")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid or len(kid) > 256:
        raise AssertionRejected(code="assertion_kid")
    return kid


def _verify(assertion: str, key: jwt.PyJWK, expected: Expected) -> _HandshakeClaims:
    audience = KIT_AUDIENCE_PREFIX + expected.client
    try:
        claims = jwt.decode(
            assertion,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=expected.issuer or None,
            leeway=_SKEW_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"], "strict_aud": True},
        )
        return _HandshakeClaims.model_validate(claims)
    except jwt.InvalidAudienceError as exc:
        # The signature is already checked: the front door itself used another name for this page.
        raise KitMisconfigured(
            f"The front door's route to this page names another kit client than {expected.client!r}: make `kit` of the "
            "route and VESTIBULE_KIT__CLIENT the same."
        ) from exc
    except jwt.InvalidIssuerError as exc:
        raise KitMisconfigured(
            "The front door that sent this page its visitor is not the one that VESTIBULE_KIT__PUBLIC_URL names."
        ) from exc
    except jwt.PyJWTError as exc:
        raise AssertionRejected(code=_CODES.get(type(exc), "assertion_invalid")) from exc
    except ValidationError as exc:
        raise AssertionRejected(code="assertion_claims") from exc
