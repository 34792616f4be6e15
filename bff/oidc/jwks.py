"""Verification keys of a provider: skip unusable keys of a JWK Set, choose keys strictly (RFC 7517; Core 10.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import InvalidKeyError, PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from bff.oidc.members import present

MAX_KEYS = 100
RSA_BITS = range(2048, 8193)
KEY_TYPE_OF = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that may verify signatures; `kid` and `alg` are "" if the set does not name them."""

    kid: str
    kty: str
    alg: str
    key: PublicKey = field(repr=False)

    def fits(self, alg: str) -> bool:
        return self.kty == KEY_TYPE_OF.get(alg) and self.alg in ("", alg)


def parse_jwks(document: Mapping[str, Any]) -> tuple[VerificationKey, ...]:
    """Return the usable keys of a JWK Set; skip unsuitable ones (secp256k1, `use: enc`, oct, short RSA)."""
    members = document.get("keys")
    if not isinstance(members, list):
        return ()
    return tuple(key for member in members[:MAX_KEYS] if (key := _parse_member(member)) is not None)


def choose_keys(keys: Iterable[VerificationKey], *, kid: str | None, alg: str) -> list[VerificationKey]:
    """Return the keys of the right type and algorithm that may have signed.

    Those with this `kid`; if there are none, those without a name. For a token without `kid`, all.
    """
    fitting = [key for key in keys if key.fits(alg)]
    if kid is None:
        return fitting
    return [key for key in fitting if key.kid == kid] or [key for key in fitting if not key.kid]


def _parse_member(member: Any) -> VerificationKey | None:
    if not isinstance(member, dict):
        return None
    member = present(member)
    if "d" in member or member.get("use", "sig") != "sig":
        return None
    operations = member.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return None
    kid, kty, alg = (member.get(name, "") for name in ("kid", "kty", "alg"))
    if not all(isinstance(value, str) and len(value) <= 256 for value in (kid, kty, alg)):
        return None
    key = _public_key(kty, member)
    return VerificationKey(kid, kty, alg, key) if key is not None else None


def _public_key(kty: str, member: dict[str, Any]) -> PublicKey | None:
    key: object
    try:
        if kty == "RSA" and len(str(member.get("n", ""))) <= 1400:
            key = RSAAlgorithm.from_jwk(member)
        elif kty == "EC" and member.get("crv") == "P-256":
            key = ECAlgorithm.from_jwk(member)
        elif kty == "OKP" and member.get("crv") == "Ed25519":
            key = OKPAlgorithm.from_jwk(member)
        else:
            return None
    except (InvalidKeyError, PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, RSAPublicKey):
        return key if key.key_size in RSA_BITS else None
    if isinstance(key, EllipticCurvePublicKey):
        return key if isinstance(key.curve, SECP256R1) else None
    return key if isinstance(key, Ed25519PublicKey) else None
