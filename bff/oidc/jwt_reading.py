"""Read a compact JWS: check form, header and signature with one fixed algorithm (RFC 7515, RFC 8725)."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWTError

from bff.errors import InvalidToken
from bff.oidc.jwks import VerificationKey, choose_keys
from bff.oidc.members import present, written
from bff.oidc.strict_json import parse_object

MAX_TOKEN = 65_536
MAX_HEADER = 4_096
MAX_NAMED = 3
"""How many audiences that were not expected a refusal names."""
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
    members = parse_object(_decode(segments[0]), code=malformed)
    if "crit" in members or "b64" in members:
        raise InvalidToken(f"{prefix}_crit", detail="critical header extension")
    header = present(members)
    alg, typ, kid = members.get("alg"), header.get("typ", ""), header.get("kid")
    if not isinstance(alg, str) or not isinstance(typ, str) or not (kid is None or isinstance(kid, str)):
        raise InvalidToken(malformed, detail="header of another type")
    if kid is not None and len(kid) > 256:
        raise InvalidToken(malformed, detail="kid too long")
    return Header(alg, typ.lower().removeprefix("application/"), kid)


def verify_signature(
    token: str, *, keys: Sequence[VerificationKey], alg: str, prefix: str, types: frozenset[str]
) -> dict[str, Any]:
    """Return the payload of a token whose signature is valid with the fixed `alg` and whose `typ` is one of `types`.

    The payload is as it was signed: read it through `present`, after looking for claims that must not be there.

    Raises:
        UnknownKey: `<prefix>_unknown_key`; `<prefix>_signature` if the token does not name a key.
        InvalidToken: `<prefix>_alg`, `_typ`, `_signature`, `_malformed`, `_crit`.
    """
    header = read_header(token, prefix=prefix)
    if header.alg != alg:
        raise algorithm_not_allowed(header, algorithms=(alg,), prefix=prefix)
    if header.typ not in types:
        raise token_of_another_type(header, types=types, prefix=prefix)
    candidates = choose_keys(keys, kid=header.kid, alg=alg)
    if not candidates:
        raise UnknownKey(f"{prefix}_unknown_key", detail="no key fits")
    if not any(_verifies(token, key, alg) for key in candidates):
        raise _does_not_verify(header, candidates, prefix=prefix)
    return parse_object(_decode(token.split(".")[1]), code=f"{prefix}_malformed")


def _does_not_verify(header: Header, tried: Sequence[VerificationKey], *, prefix: str) -> InvalidToken:
    """A wrong signature by the key that the token names is final. Otherwise the key may only be unknown yet."""
    if header.kid is None:
        return UnknownKey(f"{prefix}_signature", detail="signature does not verify")
    if any(key.kid == header.kid for key in tried):
        return InvalidToken(f"{prefix}_signature", detail="signature does not verify")
    return UnknownKey(f"{prefix}_unknown_key", detail="no key of this name, and no key without a name fits")


def unverified_claims(access_token: str) -> dict[str, Any]:
    """Read the claims of a JWT access token without verifying it; {} if it is opaque.

    That is safe: the token came from the token endpoint over TLS, and is read only for roles that the provider does not
    send elsewhere (Keycloak's default).
    """
    parts = access_token.split(".")
    if len(parts) != 3 or len(access_token) > 65_536:
        return {}
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return present(claims) if isinstance(claims, dict) else {}


def _verifies(token: str, key: VerificationKey, alg: str) -> bool:
    """Check only with `alg`. PyJWT's `decode` would read the header once more, and refuses a `kid` that is null."""
    signed, _, signature = token.rpartition(".")
    try:
        algorithm = jwt.get_algorithm_by_name(alg)
        return algorithm.verify(signed.encode("ascii"), algorithm.prepare_key(key.key), _decode(signature))
    except (PyJWTError, NotImplementedError, ValueError, TypeError):
        return False


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


def check_issuer(claims: Mapping[str, Any], *, issuer: str, prefix: str) -> None:
    """Check that `iss` equals `issuer` byte for byte.

    Raises:
        InvalidToken: `<prefix>_iss`.
    """
    if claims.get("iss") != issuer:
        raise unexpected(f"{prefix}_iss", "issued by", expected=issuer, found=claims.get("iss"))


def check_audience(
    claims: Mapping[str, Any], *, audience: str, trusted: Collection[str] = (), prefix: str, needs_azp: bool = False
) -> None:
    """Check `aud` and `azp` (Core 3.1.3.7, 3 to 5).

    `aud` names `audience`, and beside it only audiences in `trusted`, where `*` stands for any. `azp`, if present, is
    `audience`. With `needs_azp` it must be present when there is more than one audience.

    Raises:
        InvalidToken: `<prefix>_aud`, `<prefix>_azp`.
    """
    value = claims.get("aud")
    audiences = value if isinstance(value, list) else [value]
    if audiences.count(audience) != 1:
        raise unexpected(f"{prefix}_aud", "meant for", expected=audience, found=value)
    further = [one for one in audiences if one != audience]
    unknown = [one for one in further if not isinstance(one, str) or not {one, "*"} & set(trusted)]
    if unknown:
        names = ", ".join(written(one) for one in unknown[:MAX_NAMED])
        detail = f"also meant for {names}; if that is right, add it to trusted_audiences"
        raise InvalidToken(f"{prefix}_aud", detail=detail, expected=audience, found=written(value))
    azp = claims.get("azp")
    if azp not in (None, audience) or (azp is None and further and needs_azp):
        raise unexpected(f"{prefix}_azp", "issued to", expected=audience, found=azp)


def token_of_another_type(header: Header, *, types: Collection[str], prefix: str) -> InvalidToken:
    expected = " or ".join(sorted(filter(None, types)))
    return unexpected(f"{prefix}_typ", "its type is", expected=expected, found=header.typ)


def algorithm_not_allowed(header: Header, *, algorithms: Collection[str], prefix: str) -> InvalidToken:
    return unexpected(f"{prefix}_alg", "signed with", expected=" or ".join(algorithms), found=header.alg)


def unexpected(code: str, what: str, *, expected: str, found: object) -> InvalidToken:
    """Make a refusal that names what was expected and found. Neither may be secret."""
    names = f"{what} {written(found)}, expected is {written(expected)}"
    return InvalidToken(code, detail=names, expected=written(expected), found=written(found))
