"""What a finished sign-in opens: the session's first tokens, and where they came from. Pure."""

from __future__ import annotations

from bff.contract import Identity
from bff.oidc.authorization import LoginTransaction
from bff.oidc.tokens import TokenResponse
from bff.provider.identity import FoundIn
from bff.sessions.lifecycle import Opening
from bff.sessions.record import TokenSet
from bff.settings.tables import ProviderSettings


def build_opening(
    identity: Identity,
    answer: TokenResponse,
    transaction: LoginTransaction,
    *,
    settings: ProviderSettings,
    found_in: FoundIn,
) -> Opening:
    """Build the `Opening`. A response without `scope` grants what was asked for (RFC 6749 section 5.1).

    Only with a refresh token is a lifetime assumed that nobody stated: without one, the token could not be renewed.
    """
    tokens = TokenSet(
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        id_token=answer.id_token,
        obtained_at=answer.asked_at,
        expires_at=answer.expires_at(assumed=settings.assumed_lifetime_seconds if answer.refresh_token else None),
        scope=" ".join(settings.scopes) if answer.scope is None else answer.scope,
    )
    sid = identity.claims.get("sid", "")
    return Opening(
        identity=identity,
        tokens=tokens,
        sid=sid if isinstance(sid, str) else "",
        origin=transaction.origin,
        login_started_at=transaction.started_at,
        replaces=transaction.replaces,
        proved_at=identity.auth_time or (transaction.started_at if transaction.asks_for_proof else 0),
        found_in=found_in,
    )
