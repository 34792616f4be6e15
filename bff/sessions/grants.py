"""What a refresh grant may change, when there has to be one, and what became of its refresh token. Pure."""

from __future__ import annotations

from bff.oidc.jwt_reading import unverified_claims
from bff.oidc.scopes import scope_names
from bff.oidc.tokens import UnusableTokenResponse
from bff.sessions.record import TokenSet


def narrowed(before: str, given: str | None) -> str:
    """Return the scope after a refresh. It can shrink but never grow (RFC 6749 section 6)."""
    if given is None:
        return before
    had = scope_names(before)
    return " ".join(name for name in scope_names(given) if name in had)


def is_id_token_due(tokens: TokenSet, *, now: float) -> bool:
    """True if the ID token has expired and a refresh may bring a new one.

    If it had already expired at the last grant, the provider does not renew ID tokens (Core section 12.2).
    """
    ends = unverified_claims(tokens.id_token).get("exp")
    return bool(tokens.refresh_token) and isinstance(ends, int | float) and tokens.obtained_at < ends <= now


def fate_of(response: UnusableTokenResponse) -> str:
    """Say for the log what became of the refresh token."""
    if not response.is_rotated:
        return f"{response.detail}; the refresh token is kept"
    if response.refresh_token:
        return f"{response.detail}; the new refresh token is kept"
    return f"{response.detail}; the refresh token is spent, so the access token cannot be renewed any more"
