"""What a sign-in granted: a code that works once, and refresh tokens that rotate. A second use is noticed."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from dataclasses import dataclass, field

CODE_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class Grant:
    """One sign-in of one person at the client. Every token of it ends with it."""

    sub: str
    sid: str
    scope: str
    nonce: str
    auth_time: int
    acr: str
    redirect_uri: str
    code_challenge: str
    expires_at: float
    """Of the code."""
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    is_revoked: bool = False


class Grants:
    """All grants, in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._codes: dict[str, Grant] = {}
        self._live: dict[str, Grant] = {}
        self._spent: dict[str, Grant] = {}
        self._lock = threading.Lock()

    def issue_code(self, grant: Grant) -> str:
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._grants[grant.id] = grant
            self._codes[code] = grant
        return code

    def redeem(self, code: str, *, redirect_uri: str, code_verifier: str, now: float) -> Grant | None:
        """Return the grant of `code`, once, for the right verifier and address. A second use ends the grant."""
        with self._lock:
            grant = self._codes.pop(code, None)
            if grant is None:
                if again := self._spent.get(code):
                    again.is_revoked = True
                return None
            self._spent[code] = grant
            is_right = redirect_uri == grant.redirect_uri and _is_verifier_of(code_verifier, grant.code_challenge)
            return grant if is_right and now < grant.expires_at and not grant.is_revoked else None

    def issue_refresh_token(self, grant: Grant) -> str:
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._live[token] = grant
        return token

    def of_refresh_token(self, token: str) -> Grant | None:
        """Return the grant of a refresh token, whether it was used or not."""
        with self._lock:
            return self._live.get(token) or self._spent.get(token)

    def spend(self, token: str) -> Grant | None:
        """Return the grant of a good refresh token, and use the token up. A second use ends the grant."""
        with self._lock:
            if again := self._spent.get(token):
                again.is_revoked = True
                return None
            grant = self._live.pop(token, None)
            if grant is None:
                return None
            self._spent[token] = grant
            return None if grant.is_revoked else grant

    def is_good(self, grant_id: str) -> bool:
        with self._lock:
            grant = self._grants.get(grant_id)
            return grant is not None and not grant.is_revoked

    def revoke(self, grant_id: str) -> None:
        with self._lock:
            if grant := self._grants.get(grant_id):
                grant.is_revoked = True

    def revoke_session(self, sid: str) -> None:
        """End every grant that belongs to this session at the provider."""
        with self._lock:
            for grant in self._grants.values():
                if grant.sid == sid:
                    grant.is_revoked = True


def _is_verifier_of(code_verifier: str, code_challenge: str) -> bool:
    """PKCE with S256 (RFC 7636, section 4.6)."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return secrets.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), code_challenge.encode())
