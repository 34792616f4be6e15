"""The `Authorization` a route sends to its upstream. Never a lesser token than the route asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from bff.assembly import Bff
from bff.errors import LoginRequired, Unavailable
from bff.refresh import BearerToken, NoToken, RefreshFailed, SessionOver
from bff.session import Session
from bff.settings import RouteSettings
from gateway.session_cache import LiveSession

ASSERTION_REUSE_SECONDS = 30


@dataclass(slots=True)
class _Minted:
    token: str = field(repr=False)
    at: float


class UpstreamTokens:
    """Bearer tokens by route; assertions are reused for half of their life."""

    def __init__(self, bff: Bff) -> None:
        self._bff = bff
        self._minted: dict[tuple[str, int, str], _Minted] = {}

    async def bearer(self, route: RouteSettings, live: LiveSession) -> str:
        """The token for `route`, "" when it sends none.

        Raises:
            LoginRequired: `token_expired`, no live token and no way to get one; `login_required`, the session ended.
            Unavailable: `token_refresh`, the provider is out of reach and the token is dead.
        """
        match route.token:
            case "none":
                return ""
            case "assertion":
                return self._assertion(route, live)
            case "access_token":
                return await self._provider_token(live.session)
            case "id_token":
                await self._provider_token(live.session)
                session = await self._bff.sessions.load(live.session.name)
                if session is None or not session.tokens.id_token:
                    raise LoginRequired("token_expired")
                return session.tokens.id_token
            case "exchange" | "client_credentials":
                raise Unavailable("token_kind", detail=f"token = {route.token!r} is not available in this version")
            case unknown:
                assert_never(unknown)

    async def _provider_token(self, session: Session) -> str:
        outcome = await self._bff.tokens.access_token(session)
        match outcome:
            case BearerToken(token):
                return token
            case NoToken():
                raise LoginRequired("token_expired", "Your sign-in no longer reaches this application.")
            case SessionOver():
                raise LoginRequired()
            case RefreshFailed(retry_after):
                raise Unavailable("token_refresh", retry_after=retry_after)
            case unknown:
                assert_never(unknown)

    def _assertion(self, route: RouteSettings, live: LiveSession) -> str:
        session, now = live.session, self._bff.clock()
        key = (session.name, session.revision, route.audience)
        known = self._minted.get(key)
        if known is not None and now - known.at < ASSERTION_REUSE_SECONDS and now < session.absolute_expires_at - 1:
            return known.token
        token = self._bff.assertions.for_upstream(session, audience=route.audience)
        if len(self._minted) > 10_000:
            self._minted = {k: m for k, m in self._minted.items() if now - m.at < ASSERTION_REUSE_SECONDS}
        self._minted[key] = _Minted(token, now)
        return token
