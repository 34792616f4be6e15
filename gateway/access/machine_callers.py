"""Machine clients with their own bearer JWT, on routes that accept it (`accept_bearer`, RFC 9068, RFC 6750).

Policy and headers treat a caller with a valid token like a person, but it has no record in the store. Its connections
end with the token, or when its person, its provider session or everybody is signed out here. A request has one
credential: a session cookie or a kit credential beside the token is an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bff.api.tokens import TOKEN_TYPES, BearerRules, StandardClaims, check_header, validate_bearer
from bff.assembly import Bff
from bff.browser.cookies import cookie_headers, mentions_cookie
from bff.contract import Identity
from bff.errors import BadRequest, InvalidToken, LoginRequired
from bff.oidc.jwt_reading import unverified_claims
from bff.oidc.verified_email import read_email
from bff.provider.client import Provider
from bff.sessions.record import Session, TokenSet
from bff.settings.tables import RouteSettings
from gateway.access.request import KIT_HEADER, Incoming, single_header
from gateway.access.session_cache import LiveSession, describe

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
CHALLENGE = 'Bearer realm="gateway", error="invalid_token"'


class MachineCallers:
    """Validates bearer tokens against the providers that a route names."""

    def __init__(self, bff: Bff) -> None:
        self._bff = bff

    async def identify(self, incoming: Incoming, route: RouteSettings) -> LiveSession | None:
        """Return the caller with a bearer token; None if the route accepts none or the request has none.

        Raises:
            BadRequest: `bearer_twice`, `two_credentials`.
            LoginRequired: `invalid_token` for every broken rule; the log names the rule.
            ProviderUnavailable: the provider's keys cannot be fetched.
        """
        if not route.accept_bearer.providers:
            return None
        value = single_header(incoming.headers, b"authorization", code="bearer_twice")
        if value is None:
            return None
        self._refuse_second_credential(incoming)
        scheme, _, token = value.partition(" ")
        if scheme.lower() != "bearer":
            raise self._refused("bearer_scheme")
        try:
            provider, claims = await self._validate(token, route)
        except InvalidToken as exc:
            raise self._refused(exc.code) from exc
        live = self._describe(provider, claims, token)
        if await self.is_revoked(live):
            raise self._refused("bearer_revoked")
        return live

    async def is_revoked(self, machine: LiveSession) -> bool:
        """True if the person or the provider session was signed out here after the token was issued."""
        return await self._bff.store.barriers(sorted(machine.owners)) >= machine.session.login_started_at

    async def _validate(self, token: str, route: RouteSettings) -> tuple[Provider, StandardClaims]:
        provider = self._provider_of(token, route)
        settings, now = provider.settings, self._bff.clock()
        rules = BearerRules(
            issuer=provider.issuer,
            audience=route.accept_bearer.audience or route.audience,
            algorithms=ALGORITHMS,
            leeway=settings.clock_skew_seconds,
            roles_claim=settings.roles_claim,
            token_types=TOKEN_TYPES,
            needs_kind=True,
        )
        check_header(token, rules)  # before any key is fetched
        claims = await provider.keys.validate(
            token, lambda keys: validate_bearer(token, keys=keys, rules=rules, now=now), prefix="bearer"
        )
        return provider, claims

    def _provider_of(self, token: str, route: RouteSettings) -> Provider:
        """Return the provider whose issuer the token names. Only this provider's keys are fetched."""
        issuer = unverified_claims(token).get("iss")
        for name in route.accept_bearer.providers:
            provider = self._bff.sign_in.providers[name]
            if provider.issuer == issuer:
                return provider
        raise InvalidToken("bearer_iss", detail="issued by another issuer")

    def _refuse_second_credential(self, incoming: Incoming) -> None:
        has_cookie = mentions_cookie(cookie_headers(incoming.headers), self._bff.cookie_names.session)
        if has_cookie or any(name == KIT_HEADER for name, _ in incoming.headers):
            raise BadRequest("two_credentials", detail="a bearer token beside a cookie or a kit credential")

    def _refused(self, reason: str) -> LoginRequired:
        self._bff.audit.event("request_refused", reason=reason)
        return LoginRequired(
            "invalid_token", "The bearer token is not acceptable.", headers={"WWW-Authenticate": CHALLENGE}
        )

    def _describe(self, provider: Provider, claims: StandardClaims, token: str) -> LiveSession:
        email = read_email([claims.claims], {}, assumed=provider.settings.email_verified == "assume")
        identity = Identity(
            sub=claims.sub,
            iss=claims.iss,
            provider=provider.name,
            name=claims.name,
            email=email.address,
            email_verified=email.is_verified,
            preferred_username=claims.preferred_username,
            roles=claims.roles,
            groups=claims.groups,
            expires_at=claims.exp,
            claims=claims.claims,
        )
        sid, ends_at = claims.claims.get("sid", ""), self._end_of(claims, provider)
        session = Session(
            name=hashlib.sha256(b"machine" + token.encode()).hexdigest(),
            revision=0,
            identity=identity,
            tokens=TokenSet(
                access_token=token,
                obtained_at=claims.iat,
                expires_at=claims.exp,
                scope=" ".join(sorted(claims.scopes)),
            ),
            sid=sid if isinstance(sid, str) else "",
            origin="",
            created_at=claims.iat,
            login_started_at=claims.iat,
            absolute_expires_at=ends_at,
            idle_expires_at=ends_at,
        )
        bff = self._bff
        live = describe(bff.with_roles(session), bff.sessions, idle_seconds=bff.settings.session.idle_seconds)
        return replace(live, touched_at=0)

    def _end_of(self, claims: StandardClaims, provider: Provider) -> float:
        """Return `exp`. If the token came later and was accepted because clocks may differ, return the end of that
        time."""
        is_late = self._bff.clock() >= claims.exp
        return claims.exp + (provider.settings.clock_skew_seconds if is_late else 0)
