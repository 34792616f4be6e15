"""First-party assertions: short JWTs that the front door signs for its upstreams, and handshake JWTs for the kit.

The two kinds cannot be confused: `typ: at+jwt` with the audience of a route (RFC 9068), and
`typ: vestibule-handshake+jwt` with the audience `kit:<client>`. They use ES256 with keys derived from `secrets.keys`;
all public keys are published. An assertion fits into a header line (`bff.sessions.bounded_claims`).
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from bff.contract import (
    HEADER_ASSERTION,
    IDENTITY_LINE_BYTES,
    KIT_AUDIENCE_PREFIX,
    TYP_HANDSHAKE,
    TYP_UPSTREAM,
    Identity,
)
from bff.errors import InvalidToken, LoginRequired
from bff.oidc.base64url import base64url
from bff.oidc.jwks import parse_jwks
from bff.oidc.jwt_reading import check_issuer, check_times, verify_signature
from bff.sessions.bounded_claims import REFERENCE, bound_claims
from bff.sessions.keyring import Keyring, SealBroken, SigningKey
from bff.sessions.record import Session

UPSTREAM_SECONDS = 60
SKEW_SECONDS = 10
PREFIX = "bearer"
KIT_PLACE = "kit:"
"""Begins the place of an assertion that a kit client asked for, and that no route stands for."""
REFERENCE_PURPOSE = "assertion-identity"
AUTHORIZATION_LINE = len("authorization: Bearer \r\n")
ASSERTION_LINE = len(f"{HEADER_ASSERTION}: \r\n")


@dataclass(frozen=True, slots=True)
class Assertion:
    """A signed assertion, and the names of what did not fit into it."""

    token: str = field(repr=False)
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PresentedAssertion:
    """An assertion that came back from an API. `record_name` is "" if it left nothing out."""

    claims: Mapping[str, Any]
    record_name: str = ""
    route: str = ""


class Assertions:
    """Makes assertions with `issuer` (the public URL) and publishes their keys."""

    def __init__(
        self,
        keyring: Keyring,
        *,
        issuer: str,
        clock: Callable[[], float],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._keyring = keyring
        self._keys = keyring.assertion_keys()
        self._issuer = issuer
        self._clock = clock
        self._random = random

    def for_upstream(
        self,
        session: Session,
        *,
        audience: str,
        route: str = "",
        line_bytes: int = IDENTITY_LINE_BYTES,
        header: str = "",
    ) -> Assertion:
        """Make a token for the API of a route. It lives at most 60 s, never longer than the session.

        `route` is the id of that route, or `KIT_PLACE` and a kit client. `header` is the name of the header that it
        fills; "" for a bearer token.
        """
        now = int(self._clock())
        claims = person_claims(session.identity) | {
            "iss": self._issuer,
            "aud": audience,
            "client_id": "vestibule",
            "iat": now,
            "exp": min(now + UPSTREAM_SECONDS, int(session.absolute_expires_at)),
            "jti": base64url(self._random(16)),
        }
        if session.tokens.scope:
            claims["scope"] = session.tokens.scope
        reference = json.dumps([session.name, route]).encode()

        def seal() -> str:
            return base64url(self._keyring.seal(reference, purpose=REFERENCE_PURPOSE, name=audience))

        overhead = len(f"{header}: \r\n") if header else AUTHORIZATION_LINE
        return self._sign(claims, typ=TYP_UPSTREAM, token_bytes=line_bytes - overhead, reference=seal)

    def for_handshake(
        self, session: Session, *, client: str, routes: Mapping[str, str], line_bytes: int = IDENTITY_LINE_BYTES
    ) -> Assertion:
        """Make the token that tells a page of kit client `client` who is signed in. No API accepts it.

        It lives as long as the session. `routes` maps the ids of the client's routes to their paths.
        """
        claims = person_claims(session.identity) | {
            "iss": self._issuer,
            "idp": session.identity.iss,
            "aud": KIT_AUDIENCE_PREFIX + client,
            "iat": int(self._clock()),
            "exp": int(session.absolute_expires_at),
            "session_expires_at": int(session.absolute_expires_at),
            "acr": session.identity.acr,
            "auth_time": session.identity.auth_time,
            "routes": dict(routes),
        }
        return self._sign(claims, typ=TYP_HANDSHAKE, token_bytes=line_bytes - ASSERTION_LINE)

    def read(self, token: str) -> PresentedAssertion:
        """Read an assertion that an API received and shows, to be told what was left out.

        Raises:
            InvalidToken: `bearer_` and the rule that is broken.
            LoginRequired: `assertion_identity`, its reference cannot be opened.
        """
        keys = parse_jwks(self.jwks())
        claims = verify_signature(token, keys=keys, alg="ES256", prefix=PREFIX, types=frozenset({TYP_UPSTREAM}))
        check_issuer(claims, issuer=self._issuer, prefix=PREFIX)
        check_times(claims, now=self._clock(), skew=SKEW_SECONDS, prefix=PREFIX)
        audience, reference = claims.get("aud"), claims.get(REFERENCE)
        if not isinstance(audience, str) or not isinstance(reference, str | None):
            raise InvalidToken(f"{PREFIX}_aud", detail="not an assertion of this front door")
        if reference is None:
            return PresentedAssertion(claims)
        try:
            sealed = urlsafe_b64decode(reference + "=" * (-len(reference) % 4))
            record_name, route = json.loads(self._keyring.unseal(sealed, purpose=REFERENCE_PURPOSE, name=audience))
        except (SealBroken, ValueError, TypeError):
            raise LoginRequired("assertion_identity") from None
        return PresentedAssertion(claims, str(record_name), str(route))

    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set to publish: one public key for each entry of `secrets.keys`."""
        return {"keys": [_public_jwk(key) for key in self._keys]}

    def _sign(
        self, claims: dict[str, Any], *, typ: str, token_bytes: int, reference: Callable[[], str] | None = None
    ) -> Assertion:
        key = self._keys[0]
        header = {"alg": "ES256", "kid": key.kid, "typ": typ}
        bounded, omitted = bound_claims(claims, header=header, token_bytes=token_bytes, reference=reference)
        return Assertion(jwt.encode(bounded, key.private_key, algorithm="ES256", headers=header), omitted)


def person_claims(identity: Identity) -> dict[str, Any]:
    """Return what an assertion says of a person, if all of it fits."""
    return {
        "sub": identity.sub,
        "provider": identity.provider,
        "name": identity.name,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "preferred_username": identity.preferred_username,
        "roles": list(identity.roles),
        "groups": list(identity.groups),
    }


def _public_jwk(key: SigningKey) -> dict[str, str]:
    point = key.private_key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": base64url(point.x.to_bytes(32)),
        "y": base64url(point.y.to_bytes(32)),
        "kid": key.kid,
        "use": "sig",
        "alg": "ES256",
    }
