"""The provider's ES256 keys, each with its `kid`. One key signs; all published keys verify."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ALGORITHM = "ES256"


class SigningKeys:
    """The keys of one provider, one at the start."""

    def __init__(self) -> None:
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key; the old one is no longer published."""
        self._keys = {secrets.token_hex(4): ec.generate_private_key(ec.SECP256R1())}

    def published(self) -> dict[str, Any]:
        """The JWK set."""
        return {"keys": [_public_jwk(kid, key) for kid, key in self._keys.items()]}

    def sign(self, claims: Mapping[str, Any], *, typ: str) -> str:
        kid, key = next(reversed(self._keys.items()))
        return jwt.encode(dict(claims), key, algorithm=ALGORITHM, headers={"kid": kid, "typ": typ})

    def read(self, token: str, *, typ: str) -> dict[str, Any] | None:
        """Return the claims of a token that a published key signed, even an expired one; None for any other."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != typ:
                return None
            options: Any = {"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
            claims: dict[str, Any] = jwt.decode(token, key.public_key(), algorithms=[ALGORITHM], options=options)
        except jwt.PyJWTError:
            return None
        return claims


def _public_jwk(kid: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": kid, "use": "sig", "alg": ALGORITHM}
