"""Back-channel logout tokens (Back-Channel Logout 1.0 sections 2.4 to 2.6). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bff.errors import InvalidToken
from bff.oidc.id_token import is_subject
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import check_audience, check_issuer, check_times, number_at, verify_signature
from bff.oidc.members import present

EVENT = "http://schemas.openid.net/event/backchannel-logout"
PREFIX = "logout_token"
TYPES = frozenset({"", "jwt", "logout+jwt"})
MAX_AGE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """A valid logout token. `sub` or `sid` may be "", but not both; `expires_at` is Unix seconds."""

    jti: str
    sub: str
    sid: str
    expires_at: float


def validate_logout_token(
    token: str,
    *,
    keys: Sequence[VerificationKey],
    alg: str,
    issuer: str,
    client_id: str,
    trusted_audiences: Collection[str] = (),
    now: float,
    clock_skew: float,
) -> LogoutToken:
    """Validate a logout token as Back-Channel Logout 2.6 says. The caller must check that `jti` is new.

    Raises:
        UnknownKey, InvalidToken: `logout_token_` + `alg`, `typ`, `signature`, `iss`, `aud`, `exp`, `iat`, `jti`,
            `events`, `nonce`, `subject`, `malformed`, `crit`.
    """
    payload = verify_signature(token, keys=keys, alg=alg, prefix=PREFIX, types=TYPES)
    claims = present(payload)
    check_issuer(claims, issuer=issuer, prefix=PREFIX)
    check_audience(claims, audience=client_id, trusted=trusted_audiences, prefix=PREFIX)
    check_times(claims, now=now, skew=clock_skew, prefix=PREFIX)
    if now - number_at(claims, "iat", prefix=PREFIX) > MAX_AGE_SECONDS + clock_skew:
        raise InvalidToken("logout_token_iat", detail="older than allowed")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise InvalidToken("logout_token_events", detail="not a back-channel logout event")
    if "nonce" in payload:
        raise InvalidToken("logout_token_nonce", detail="a logout token must not have a nonce")
    jti, sub, sid = claims.get("jti"), claims.get("sub", ""), claims.get("sid", "")
    if not is_subject(jti):
        raise InvalidToken("logout_token_jti", detail="jti missing or not acceptable")
    named = [value for name, value in (("sub", sub), ("sid", sid)) if name in claims]
    if not named or not all(is_subject(value) for value in named):
        raise InvalidToken("logout_token_subject", detail="neither sub nor sid, or not acceptable")
    return LogoutToken(str(jti), sub, sid, min(number_at(claims, "exp", prefix=PREFIX), now + 2 * MAX_AGE_SECONDS))
