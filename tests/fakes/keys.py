"""Signing keys, and a JWS writer that can also write any wrong token.

The writer is made directly on `cryptography`, not on a JWT library: a library would refuse the tokens we need most.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_CURVE_OF_ALG = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "secp256k1"}
_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521", "secp256k1": "secp256k1"}


def b64url(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _integer(value: int, size: int | None = None) -> str:
    return b64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _hash(alg: str) -> hashes.HashAlgorithm:
    found: dict[str, hashes.HashAlgorithm] = {"384": hashes.SHA384(), "512": hashes.SHA512()}
    return found.get(alg[2:5], hashes.SHA256())


def half_hash(alg: str, value: str) -> str:
    """`at_hash` of an access token for an ID token signed with `alg` (Core 3.1.3.6; EdDSA hashes with SHA-512)."""
    name = "sha512" if alg in ("EdDSA", "Ed25519") else {"384": "sha384", "512": "sha512"}.get(alg[2:5], "sha256")
    digest = hashlib.new(name, value.encode("ascii")).digest()
    return b64url(digest[: len(digest) // 2])


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key with the name and algorithm it is published under."""

    kid: str
    alg: str
    private: PrivateKey = field(repr=False)

    @property
    def public_jwk(self) -> dict[str, Any]:
        return {**_public_members(self.private), "kid": self.kid, "alg": self.alg, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def public_der(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def private_pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, message: bytes, *, alg: str = "") -> bytes:
        """Sign with the key's own algorithm, or with another one that its type can do."""
        return _sign(self.private, alg or self.alg, message)


def _public_members(private: PrivateKey) -> dict[str, Any]:
    match private:
        case rsa.RSAPrivateKey():
            numbers = private.public_key().public_numbers()
            return {"kty": "RSA", "n": _integer(numbers.n), "e": _integer(numbers.e)}
        case ec.EllipticCurvePrivateKey():
            point = private.public_key().public_numbers()
            size = (private.curve.key_size + 7) // 8
            return {
                "kty": "EC",
                "crv": _CURVE_NAMES[private.curve.name],
                "x": _integer(point.x, size),
                "y": _integer(point.y, size),
            }
        case _:
            return {"kty": "OKP", "crv": "Ed25519", "x": b64url(private.public_key().public_bytes_raw())}


def _sign(private: PrivateKey, alg: str, message: bytes) -> bytes:
    match private:
        case rsa.RSAPrivateKey():
            digest = _hash(alg)
            if alg.startswith("PS"):
                pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
                return private.sign(message, pss, digest)
            return private.sign(message, padding.PKCS1v15(), digest)
        case ec.EllipticCurvePrivateKey():
            r, s = decode_dss_signature(private.sign(message, ec.ECDSA(_hash(alg))))
            size = (private.curve.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        case _:
            return private.sign(message)


def generate_key(alg: str = "RS256", *, kid: str = "", curve: str = "", rsa_bits: int = 2048) -> SigningKey:
    """Make a key for `alg`; `curve` and `rsa_bits` make one that does not fit (ES256 on P-384, RSA of 1024 bits)."""
    private: PrivateKey
    if alg.startswith(("RS", "PS")):
        private = rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    elif alg.startswith("ES"):
        private = ec.generate_private_key(CURVES[curve or _CURVE_OF_ALG[alg]])
    elif alg in ("EdDSA", "Ed25519"):
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        raise ValueError(f"no key type for {alg!r}")
    return SigningKey(kid or secrets.token_urlsafe(8), alg, private)


def write_jws(
    payload: Mapping[str, Any] | bytes,
    *,
    header: Mapping[str, Any],
    key: SigningKey | str | bytes | None,
    alg: str,
) -> str:
    """Write a compact JWS with exactly this header.

    `alg` is what really signs and may differ from the header's word: "none" in any spelling leaves the signature
    empty, HS* takes `key` as the secret. Payload bytes go in as they are, to carry what `json` would not write.
    """
    body = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    head = json.dumps(header, separators=(",", ":")).encode()
    message = f"{b64url(head)}.{b64url(body)}".encode("ascii")
    if alg.lower() == "none":
        signature = b""
    elif alg.startswith("HS"):
        if not isinstance(key, str | bytes):
            raise TypeError("an HS* algorithm needs a secret as its key")
        secret = key.encode() if isinstance(key, str) else key
        signature = hmac.new(secret, message, f"sha{alg[2:]}").digest()
    elif isinstance(key, SigningKey):
        signature = key.sign(message, alg=alg)
    else:
        raise TypeError(f"{alg!r} needs a SigningKey")
    return f"{message.decode('ascii')}.{b64url(signature)}"


def read_jws(token: str, jwk: dict[str, Any]) -> dict[str, Any] | None:
    """Return the claims of a token that this public key verifies;

    None for any other token. The claims are not checked.
    """
    try:
        key = jwt.PyJWK(jwk)
        verified = jwt.PyJWS().decode(token, key.key, algorithms=[key.algorithm_name])
        claims = json.loads(verified)
    except (jwt.PyJWTError, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


@lru_cache(maxsize=1)
def decoy_jwks() -> tuple[dict[str, Any], ...]:
    """Public keys a client must skip without failing: secp256k1, Ed25519, RSA for encryption, oct."""
    encryption = generate_key("RS256", kid="decoy-enc").public_jwk | {"use": "enc", "alg": "RSA-OAEP-256"}
    symmetric = {"kty": "oct", "kid": "decoy-oct", "k": b64url(b"d" * 32), "alg": "HS256", "use": "sig"}
    return (
        generate_key("ES256K", kid="decoy-secp256k1").public_jwk,
        generate_key("EdDSA", kid="decoy-ed25519").public_jwk,
        encryption,
        symmetric,
    )


_UNUSED: list[rsa.RSAPrivateKey] = []
"""RSA keys of rings that are no longer used.

Making a key takes longer than a sign-in, and most providers serve one test.
"""


def _first_key(alg: str, ring: KeyRing) -> SigningKey:
    """A key under a new name. No two rings that exist at the same time share a key."""
    if not alg.startswith(("RS", "PS")):
        return generate_key(alg)
    try:
        private = _UNUSED.pop()
    except IndexError:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    weakref.finalize(ring, _UNUSED.append, private)
    return SigningKey(secrets.token_urlsafe(8), alg, private)


class KeyRing:
    """The published keys, and for each algorithm the one that signs; a removed key may go on signing."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._active: dict[str, SigningKey] = {}
        self._published: list[SigningKey] = []
        self._ever: dict[str, SigningKey] = {}

    def active(self, alg: str) -> SigningKey:
        """Return the key that signs with `alg`, made and published on first use."""
        with self._lock:
            if alg not in self._active:
                self._add(_first_key(alg, self))
            return self._active[alg]

    def _add(self, key: SigningKey) -> None:
        self._active[key.alg] = key
        self._published.append(key)
        self._ever[key.kid] = key

    def rotate(self, *, keep_old: bool = True) -> list[SigningKey]:
        """Replace the signing key of every algorithm in use; without `keep_old` the old ones leave the JWKS."""
        fresh = [generate_key(alg) for alg in self._active]
        with self._lock:
            if not keep_old:
                self._published.clear()
            for key in fresh:
                self._add(key)
        return fresh

    def remove(self, kid: str) -> None:
        """Unpublish a key."""
        with self._lock:
            if kid not in [key.kid for key in self._published]:
                raise KeyError(kid)
            self._published = [key for key in self._published if key.kid != kid]

    def by_kid(self, kid: str) -> SigningKey | None:
        """Find any key this ring ever signed with."""
        return self._ever.get(kid)

    def published(self) -> list[SigningKey]:
        with self._lock:
            return list(self._published)

    def jwks(self, *, decoys: bool = False) -> dict[str, Any]:
        keys = [key.public_jwk for key in self.published()]
        return {"keys": [*decoy_jwks(), *keys] if decoys else keys}
