"""All keys that this server uses, derived from `secrets.keys`.

The first key signs, encrypts and names what is written. All keys are accepted for reading, so a new key can be put in
front without signing anybody out. Each purpose has its own derivation label, so a value cannot be used for another one.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, Signer

from bff.oidc.base64url import base64url

NONCE_BYTES = 12
KEY_ID_BYTES = 4
SEAL_VERSION = b"\x01"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class SealBroken(Exception):
    """A sealed value was not written by this server for this place, or was changed afterwards."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ES256 key with its stable RFC 7638 thumbprint as `kid`."""

    kid: str
    private_key: ec.EllipticCurvePrivateKey


def record_name(session_id: str) -> str:
    """Return the record name of a session id: its SHA-256 as 64 hex characters. A list of names opens no session."""
    return hashlib.sha256(session_id.encode("ascii")).hexdigest()


class Keyring:
    """Signs, seals and names with a list of keys, newest first."""

    def __init__(self, keys: Sequence[bytes], *, random: Callable[[int], bytes] = os.urandom) -> None:
        if not keys:
            raise ValueError("a keyring needs at least one key")
        self._keys = tuple(keys)
        self._random = random
        self._by_id = {_key_id(key): key for key in reversed(self._keys)}
        self._signers: dict[str, Signer] = {}
        self._owner_keys: dict[str, tuple[bytes, ...]] = {}

    def sign(self, value: str, *, purpose: str) -> str:
        """Return `value.signature`, valid for `purpose` only."""
        return self._signer(purpose).sign(value).decode("ascii")

    def unsign(self, signed: str, *, purpose: str) -> str | None:
        """Return the value that was signed for `purpose`, None if no key fits."""
        try:
            return self._signer(purpose).unsign(signed).decode("ascii")
        except (BadSignature, UnicodeDecodeError):
            return None

    def _signer(self, purpose: str) -> Signer:
        signer = self._signers.get(purpose)
        if signer is None:
            oldest_first = list(reversed(self._keys))  # itsdangerous signs with the last key
            signer = self._signers[purpose] = Signer(
                oldest_first, salt=f"vestibule.{purpose}", key_derivation="hmac", digest_method=hashlib.sha256
            )
        return signer

    def seal(self, plaintext: bytes, *, purpose: str, name: str, revision: int = 0) -> bytes:
        """Encrypt with AES-256-GCM and a separate key for (purpose, name); bind to `name` and `revision`."""
        key = self._keys[0]
        nonce = self._random(NONCE_BYTES)
        cipher = AESGCM(_derive(key, f"seal|{purpose}|{name}"))
        return SEAL_VERSION + _key_id(key) + nonce + cipher.encrypt(nonce, plaintext, _bound_to(name, revision))

    def unseal(self, sealed: bytes, *, purpose: str, name: str, revision: int = 0) -> bytes:
        """Reverse `seal`.

        Raises:
            SealBroken: the value has another place, revision or key, or was changed.
        """
        head = 1 + KEY_ID_BYTES
        key = self._by_id.get(sealed[1:head])
        if sealed[:1] != SEAL_VERSION or key is None:
            raise SealBroken
        nonce, ciphertext = sealed[head : head + NONCE_BYTES], sealed[head + NONCE_BYTES :]
        try:
            return AESGCM(_derive(key, f"seal|{purpose}|{name}")).decrypt(nonce, ciphertext, _bound_to(name, revision))
        except (InvalidTag, ValueError):
            raise SealBroken from None

    def owner_names(self, kind: str, *parts: str) -> tuple[str, ...]:
        """Return the HMAC names of a (iss, sub), (iss, sid) or jti, one for each key. Write the first; read all."""
        message = "\x00".join(str(len(part)) + ":" + part for part in parts).encode()
        derived = self._owner_keys.get(kind)
        if derived is None:
            derived = self._owner_keys[kind] = tuple(_derive(key, f"owner|{kind}") for key in self._keys)
        return tuple(hmac.new(key, message, hashlib.sha256).hexdigest() for key in derived)

    def subject_key(self, issuer: str, sub: str) -> str:
        """Return a person's stable key for `X-Auth-Request-Id`: 43 characters. The oldest key makes it, so it stays."""
        message = f"{len(issuer)}:{issuer}{sub}".encode()
        return base64url(hmac.new(_derive(self._keys[-1], "subject"), message, hashlib.sha256).digest())

    def assertion_keys(self) -> tuple[SigningKey, ...]:
        """Return the ES256 keys, the signing key first; all are published."""
        return tuple(_signing_key(key) for key in self._keys)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"vestibule key id" + key).digest()[:KEY_ID_BYTES]


def _derive(key: bytes, label: str, *, length: int = 32) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=b"vestibule", info=label.encode()).derive(key)


def _bound_to(name: str, revision: int) -> bytes:
    return f"{name}|{revision}".encode()


def _signing_key(key: bytes) -> SigningKey:
    # 48 bytes reduced modulo the group order: bias below 2^-128 (FIPS 186-5, appendix A.2.1).
    number = int.from_bytes(_derive(key, "assertion ES256", length=48)) % (P256_ORDER - 1) + 1
    private_key = ec.derive_private_key(number, ec.SECP256R1())
    point = private_key.public_key().public_numbers()
    x, y = (base64url(value.to_bytes(32)) for value in (point.x, point.y))
    thumbprint = hashlib.sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest()
    return SigningKey(base64url(thumbprint), private_key)
