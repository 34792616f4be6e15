"""The endpoints for providers and third parties: back-channel and front-channel logout, third-party login."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from bff.contract import EndReason
from bff.errors import AuthError, BadRequest, NotFound, Unavailable
from bff.oidc.id_token import is_subject
from bff.oidc.logout import LogoutToken, validate_logout_token
from bff.provider.client import Provider
from bff.stores.protocol import TooMany
from bff.web.answers import answer_json, redirect, respond
from bff.web.handlers import Handling
from bff.web.login_requests import check_navigation, query_pairs
from bff.web.pages import Page
from bff.web.problems import login_url

REPLAY_KIND = "logout-jti"
MAX_REPLAY_IDS = 100_000


class ProviderRoutes(Handling):
    """Handlers that use no cookies. They trust a signature, or an issuer that matches exactly."""

    async def back_channel_logout(self, request: Request) -> Response:
        """OpenID Connect Back-Channel Logout 1.0: 200 also if no session matches, 400 if anything fails."""
        try:
            provider = self._provider(request)
            await self._end_by_token(provider, await self._logout_token(request))
        except NotFound:
            raise
        except AuthError as error:
            self._bff.audit.event("logout_failed", reason=error.code, detail=error.detail)
            return respond(Page(400, _plain_headers(), b'{"error":"invalid_request"}'))
        return answer_json({})

    async def front_channel_logout(self, request: Request) -> Response:
        """OpenID Connect Front-Channel Logout 1.0: an exact `iss` with a `sid` ends the local sessions."""
        provider = self._provider(request)
        if not provider.settings.frontchannel_logout:
            raise NotFound()
        pairs = query_pairs(request.scope["query_string"], code="logout_malformed")
        values = dict(pairs)
        if len(values) != len(pairs):
            raise BadRequest("logout_malformed", detail="a parameter came twice")
        if values.get("iss") == provider.issuer and is_subject(values.get("sid")):
            ended = await self._bff.sessions.end_provider_session(provider.issuer, values["sid"], EndReason.LOGOUT)
            for session in ended:
                self._bff.audit.event("logout", session=session, reason="front_channel")
        issuer = urlsplit(provider.issuer)
        policy = f"default-src 'none'; frame-ancestors {issuer.scheme}://{issuer.netloc}"
        headers = [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("content-security-policy", policy),
        ]
        return respond(Page(200, headers, b"<!doctype html><title>Signed out</title>"))

    async def initiate(self, request: Request) -> Response:
        """Third-party initiated login (Core section 4): only for a configured issuer, only to a local page."""
        facts, provider = self._facts(request), self._provider(request)
        if request.method == "GET":
            check_navigation(facts.fetch, request.scope["headers"])
            pairs = query_pairs(request.scope["query_string"], code="login_parameters")
        else:
            pairs = await self._form(request, code="login_parameters")
        values = dict(pairs)
        if len(values) != len(pairs) or values.get("iss") != provider.issuer:
            raise BadRequest("initiate_issuer", detail="iss missing, repeated or of another issuer")
        return_to = self._local(values.get("target_link_uri", ""), facts)
        url = login_url(facts.urls, return_to, provider=provider.name, login_hint=values.get("login_hint", ""))
        return redirect(303, url)

    def _provider(self, request: Request) -> Provider:
        provider = self._bff.sign_in.providers.get(request.path_params["provider"])
        if provider is None:
            raise NotFound()
        return provider

    async def _logout_token(self, request: Request) -> str:
        pairs = await self._form(request, code="logout_token_malformed")
        tokens = [value for name, value in pairs if name == "logout_token"]
        if len(tokens) != 1:
            raise BadRequest("logout_token_malformed", detail="needs one logout_token")
        return tokens[0]

    async def _end_by_token(self, provider: Provider, token: str) -> None:
        """Check the token, end the sessions, then store the `jti`. A failed call can be sent again; a replay fails."""
        bff, settings = self._bff, provider.settings
        now = bff.clock()
        claims = await provider.keys.validate(
            token,
            lambda keys: validate_logout_token(
                token,
                keys=keys,
                alg=settings.id_token_alg,
                issuer=provider.issuer,
                client_id=settings.client_id,
                trusted_audiences=settings.trusted_audiences,
                now=now,
                clock_skew=settings.clock_skew_seconds,
            ),
            prefix="logout_token",
        )
        replays = bff.keyring.owner_names("jti", provider.issuer, claims.jti)
        for name in replays:
            if await bff.store.peek(REPLAY_KIND, name) is not None:
                return
        await self._end_sessions(provider, claims)
        seconds = max(claims.expires_at - now, 0) + settings.clock_skew_seconds + 1
        try:
            await bff.store.keep(REPLAY_KIND, replays[0], b"1", seconds=seconds, cap=MAX_REPLAY_IDS)
        except TooMany:
            raise Unavailable("logout_limit") from None

    async def _end_sessions(self, provider: Provider, claims: LogoutToken) -> None:
        sessions = self._bff.sessions
        if claims.sid:
            ended = await sessions.end_provider_session(provider.issuer, claims.sid, EndReason.LOGOUT, sub=claims.sub)
        else:
            ended = await sessions.end_person(provider.issuer, claims.sub, EndReason.LOGOUT)
        for session in ended:
            self._bff.audit.event("backchannel_logout", session=session, reason="ended")
            if provider.settings.revoke_on_backchannel_logout:
                self._bff.sign_in.revoke_later(provider, session.tokens.refresh_token)
        if not ended:
            self._bff.audit.event("backchannel_logout", provider=provider.name, reason="no_session")


def _plain_headers() -> list[tuple[str, str]]:
    return [("content-type", "application/json"), ("cache-control", "no-store")]
