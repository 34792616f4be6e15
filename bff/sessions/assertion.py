"""First-party assertions: short JWTs that the front door signs for its upstreams, and handshake JWTs for the kit.

The two kinds cannot be confused: `typ: at+jwt` with the audience of a route (RFC 9068), and
`typ: vestibule-handshake+jwt` with the audience `kit:<client>`. They use ES256 with keys derived from `secrets.keys`;
all public keys are published.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from bff.contract import KIT_AUDIENCE_PREFIX, TYP_HANDSHAKE, TYP_UPSTREAM, Identity
from bff.oidc.base64url import base64url
from bff.sessions.keyring import Keyring, SigningKey
from bff.sessions.record import Session

UPSTREAM_SECONDS = 60


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
        self._keys = keyring.assertion_keys()
        self._issuer = issuer
        self._clock = clock
        self._random = random

    def for_upstream(self, session: Session, *, audience: str) -> str:
        """Make a bearer token for the API of a route. It lives at most 60 s, never longer than the session."""
        now = int(self._clock())
        claims = _person(session.identity) | {
            "iss": self._issuer,
            "aud": audience,
            "client_id": "vestibule",
            "iat": now,
            "exp": min(now + UPSTREAM_SECONDS, int(session.absolute_expires_at)),
            "jti": base64url(self._random(16)),
        }
        if session.tokens.scope:
            claims["scope"] = session.tokens.scope
        return self._sign(claims, typ=TYP_UPSTREAM)

    def for_handshake(self, session: Session, *, client: str, routes: Mapping[str, str]) -> str:
        """Make the token that tells a page of kit client `client` who is signed in. No API accepts it.

        It lives as long as the session. `routes` maps the ids of the client's routes to their paths.
        """
        claims = _person(session.identity) | {
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
        return self._sign(claims, typ=TYP_HANDSHAKE)

    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set to publish: one public key for each entry of `secrets.keys`."""
        return {"keys": [_public_jwk(key) for key in self._keys]}

    def _sign(self, claims: dict[str, Any], *, typ: str) -> str:
        key = self._keys[0]
        return jwt.encode(claims, key.private_key, algorithm="ES256", headers={"kid": key.kid, "typ": typ})


def _person(identity: Identity) -> dict[str, Any]:
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
