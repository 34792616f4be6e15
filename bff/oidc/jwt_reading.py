"""Read a compact JWS: check form, header and signature with one fixed algorithm (RFC 7515, RFC 8725)."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWTError

from bff.errors import InvalidToken
from bff.oidc.jwks import VerificationKey, choose_keys
from bff.oidc.strict_json import parse_object

MAX_TOKEN = 65_536
MAX_HEADER = 4_096
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a JOSE header that are used. `jwk`, `jku`, `x5u` and `x5c` are never read."""

    alg: str
    typ: str
    kid: str | None


class UnknownKey(InvalidToken):
    """No key fits the token's `kid`, or no key verifies a token without `kid`: a reason to fetch the set again."""


def read_header(token: str, *, prefix: str) -> Header:
    """Read the header of a token in strict compact form; `prefix` starts every error code.

    Raises:
        InvalidToken: `<prefix>_malformed`, `<prefix>_crit`.
    """
    malformed = f"{prefix}_malformed"
    if len(token) > MAX_TOKEN:
        raise InvalidToken(malformed, detail="token larger than allowed")
    segments = token.split(".")
    if len(segments) != 3 or not all(_is_canonical(segment) for segment in segments) or len(segments[0]) > MAX_HEADER:
        raise InvalidToken(malformed, detail="not a compact JWS")
    header = parse_object(_decode(segments[0]), code=malformed)
    if "crit" in header or "b64" in header:
        raise InvalidToken(f"{prefix}_crit", detail="critical header extension")
    alg, typ, kid = header.get("alg"), header.get("typ", ""), header.get("kid")
    if not isinstance(alg, str) or not isinstance(typ, str) or not (kid is None or isinstance(kid, str)):
        raise InvalidToken(malformed, detail="header of another type")
    if kid is not None and len(kid) > 256:
        raise InvalidToken(malformed, detail="kid too long")
    return Header(alg, typ.lower().removeprefix("application/"), kid)


def verify_signature(
    token: str, *, keys: Sequence[VerificationKey], alg: str, prefix: str, types: frozenset[str]
) -> dict[str, Any]:
    """Return the claims of a token whose signature is valid with the fixed `alg` and whose `typ` is one of `types`.

    Raises:
        UnknownKey: `<prefix>_unknown_key`; `<prefix>_signature` if the token does not name a key.
        InvalidToken: `<prefix>_alg`, `_typ`, `_signature`, `_malformed`, `_crit`.
    """
    header = read_header(token, prefix=prefix)
    if header.alg != alg:
        raise InvalidToken(f"{prefix}_alg", detail="algorithm is not the expected one")
    if header.typ not in types:
        raise InvalidToken(f"{prefix}_typ", detail="token of another type")
    candidates = choose_keys(keys, kid=header.kid, alg=alg)
    if not candidates:
        raise UnknownKey(f"{prefix}_unknown_key", detail="no key fits")
    if not any(_verifies(token, key, alg) for key in candidates):
        failure = UnknownKey if header.kid is None else InvalidToken
        raise failure(f"{prefix}_signature", detail="signature does not verify")
    return parse_object(_decode(token.split(".")[1]), code=f"{prefix}_malformed")


def _verifies(token: str, key: VerificationKey, alg: str) -> bool:
    try:
        jwt.api_jws.decode(token, key.key, algorithms=[alg])
    except (PyJWTError, ValueError, TypeError):
        return False
    return True


def _is_canonical(segment: str) -> bool:
    """True for unpadded base64url whose unused bits are zero, so that a token has only one spelling."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        return False
    spare = {2: 0x0F, 3: 0x03}.get(len(segment) % 4, 0)
    return not _ALPHABET.index(segment[-1]) & spare


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _decode(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def number_at(claims: dict[str, Any], name: str, *, prefix: str) -> float:
    """Return a NumericDate claim (RFC 7519 section 2): a finite, non-negative number of a reasonable size.

    Raises:
        InvalidToken: `<prefix>_<name>`.
    """
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidToken(f"{prefix}_{name}", detail=f"{name} missing or not a number")
    if not 0 <= value < 2**40:  # also false for NaN, and exact for integers of any length
        raise InvalidToken(f"{prefix}_{name}", detail=f"{name} out of range")
    return float(value)


def check_times(claims: dict[str, Any], *, now: float, skew: float, prefix: str) -> None:
    """Check the times: `exp` and `iat` must be present and right at `now`, and `nbf` if present (RFC 7519 4.1).

    Raises:
        InvalidToken: `<prefix>_exp`, `<prefix>_iat`, `<prefix>_nbf`.
    """
    if number_at(claims, "exp", prefix=prefix) <= now - skew:
        raise InvalidToken(f"{prefix}_exp", detail="expired")
    if number_at(claims, "iat", prefix=prefix) > now + skew:
        raise InvalidToken(f"{prefix}_iat", detail="issued in the future")
    if "nbf" in claims and number_at(claims, "nbf", prefix=prefix) > now + skew:
        raise InvalidToken(f"{prefix}_nbf", detail="not valid yet")


def check_issuer(claims: dict[str, Any], *, issuer: str, prefix: str) -> None:
    """Check that `iss` equals `issuer` byte for byte.

    Raises:
        InvalidToken: `<prefix>_iss`.
    """
    if claims.get("iss") != issuer:
        raise InvalidToken(f"{prefix}_iss", detail="issued by another issuer")


def check_audience(claims: dict[str, Any], *, audience: str, prefix: str) -> None:
    """Check that `aud` is only `audience`, as a string or a list of one; and `azp`, if present (Core 3.1.3.7, 3 to 5).

    Raises:
        InvalidToken: `<prefix>_aud`, `<prefix>_azp`.
    """
    value = claims.get("aud")
    if value != audience and value != [audience]:
        raise InvalidToken(f"{prefix}_aud", detail="meant for another audience")
    if "azp" in claims and claims["azp"] != audience:
        raise InvalidToken(f"{prefix}_azp", detail="issued to another party")
