"""What a session's sign-in brought: its claims by where they came from, and facts about its tokens. Never a token."""

from __future__ import annotations

from dataclasses import asdict

from bff.errors import InvalidToken
from bff.oidc.jwt_reading import read_header, unverified_claims
from bff.sessions.record import Session


def describe_arrival(session: Session) -> dict[str, object]:
    """Return the person, the claims by source, and facts about the tokens, as JSON can hold them.

    The record has the ID token, and all claims together: a claim that the ID token does not have came from userinfo.
    After a renewal these are the claims of the newest tokens.
    """
    tokens, identity = session.tokens, session.identity
    together = dict(identity.claims)
    id_token = unverified_claims(tokens.id_token) if tokens.id_token else together
    rest = {name: value for name, value in together.items() if name not in id_token}
    sources = {"id_token": id_token, "userinfo": rest, "access_token": unverified_claims(tokens.access_token)}
    lifetime = None if tokens.expires_at is None else round(tokens.expires_at - tokens.obtained_at)
    return {
        "identity": {**asdict(identity), "claims": together},
        "sources": {name: claims for name, claims in sources.items() if claims},
        "access_token_typ": _typ_of(tokens.access_token),
        "lifetime": lifetime,
        "scope": tokens.scope,
        "has_refresh_token": bool(tokens.refresh_token),
    }


def _typ_of(token: str) -> str:
    try:
        return read_header(token, prefix="bearer").typ
    except InvalidToken:
        return ""
