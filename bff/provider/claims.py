"""Fetch the claims about a person at sign-in: validate the ID token, then ask userinfo, then read the access token."""

from __future__ import annotations

from typing import Any

from bff.errors import InvalidToken
from bff.oidc.authorization import LoginTransaction
from bff.oidc.id_token import IdTokenExpectation
from bff.oidc.jwt_reading import unverified_claims
from bff.oidc.tokens import TokenResponse
from bff.provider.client import Provider
from bff.provider.identity import Sources


async def fetch_claims(
    provider: Provider, answer: TokenResponse, transaction: LoginTransaction, *, code: str, now: float
) -> Sources:
    """Return the claims by source. Userinfo is called only after the ID token is valid (Core 3.1.3.7, 5.3).

    Raises:
        InvalidToken: `id_token_missing`, or the rule that the ID token or userinfo broke.
        ProviderUnavailable: keys or userinfo cannot be fetched.
    """
    if not answer.id_token:
        raise InvalidToken("id_token_missing", detail="the token response has no ID token")
    settings = provider.settings
    expected = IdTokenExpectation(
        issuer=transaction.issuer,
        client_id=settings.client_id,
        trusted_audiences=settings.trusted_audiences,
        alg=settings.id_token_alg,
        now=now,
        clock_skew=settings.clock_skew_seconds,
        nonce=transaction.nonce,
        asked_at=transaction.started_at,
        access_token=answer.access_token,
        code=code,
        max_age=transaction.max_age,
        acr_values=transaction.acr_values,
    )
    sources: dict[str, dict[str, Any]] = {"id_token": await provider.validate_id_token(answer.id_token, expected)}
    if settings.userinfo == "always":
        sub = str(sources["id_token"]["sub"])
        sources["userinfo"] = await provider.fetch_userinfo(answer.access_token, sub=sub)
    if unverified := unverified_claims(answer.access_token):
        sources["access_token"] = unverified
    return sources
