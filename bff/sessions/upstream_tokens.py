"""The bearer token that a route or a kit client sends to an API. Another kind of token is never sent instead."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from bff.access.forwarded_identity import assertion_line_bytes, forwarded
from bff.contract import IDENTITY_LINE_BYTES
from bff.errors import AuthError, LoginRequired, ProviderUnavailable, Unavailable, UpstreamFailed
from bff.oidc.jwt_reading import unverified_claims
from bff.oidc.tokens import GrantRefused, build_client_credentials_grant, build_exchange_grant
from bff.provider.client import Provider
from bff.sessions.assertion import KIT_PLACE, UPSTREAM_SECONDS, Assertions
from bff.sessions.grants import is_id_token_due
from bff.sessions.lifecycle import Sessions
from bff.sessions.machines import Machines
from bff.sessions.record import Session
from bff.sessions.refresh import BearerToken, NoToken, RefreshFailed, SessionOver, TokenRefresher
from bff.settings.tables import RouteSettings

REUSE_SECONDS = 30
MAX_KEPT = 10_000
RETRY_SECONDS = 5
KEPT_SHARE = 0.8
"""The part of its life in which a granted token is used again."""
UNSAID_SECONDS = 60
"""Seconds to keep a token whose provider does not say how long it lives."""


@dataclass(frozen=True, slots=True)
class OutgoingToken:
    """A token to send as `Bearer`. `expires_at` is Unix seconds, None if unknown."""

    token: str = field(repr=False)
    expires_at: float | None
    omitted: tuple[str, ...] = ()
    """What did not fit into an assertion."""


@dataclass(frozen=True, slots=True)
class _Kept:
    token: OutgoingToken
    until: float


class UpstreamTokens:
    """Gets tokens for a route and session, and keeps those that it made or exchanged while they are fresh."""

    def __init__(
        self,
        sessions: Sessions,
        refresher: TokenRefresher,
        assertions: Assertions,
        providers: Mapping[str, Provider],
        *,
        machines: Machines,
        clock: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._refresher = refresher
        self._assertions = assertions
        self._providers = providers
        self._machines = machines
        self._clock = clock
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()
        self._flights: dict[tuple[object, ...], asyncio.Task[OutgoingToken]] = {}

    async def for_route(
        self, route: RouteSettings, session: Session | None, *, line_bytes: int = 0
    ) -> OutgoingToken | None:
        """Return the token for `route`, None if the route sends none. `session` is None if nobody is signed in.

        An assertion's line has at most `line_bytes`; 0 means what a request to the route may have.

        Raises:
            LoginRequired: `token_expired`, there is no live token and none can be got; `login_required`, the session
                has ended.
            Unavailable: `token_refresh`, the provider cannot be reached and the token has expired.
            UpstreamFailed: `token_exchange`, the provider refused the exchange.
        """
        if route.token == "client_credentials":
            return await self._service_token(route, session)
        if session is None or route.token == "none":
            return None
        match route.token:
            case "assertion":
                return await self._assertion_of(session, route, line_bytes=line_bytes)
            case "access_token":
                return await self._access_token(session)
            case "id_token":
                return await self._id_token(session)
            case "exchange":
                return await self._exchanged(route, session)
            case unknown:
                assert_never(unknown)

    def assertion(
        self,
        session: Session,
        *,
        audience: str,
        route: RouteSettings | None = None,
        client: str = "",
        line_bytes: int = 0,
    ) -> OutgoingToken:
        """Make a first-party assertion for `audience`, or reuse one for half of its life.

        It has the groups that may go to `route`, and fits beside what else that route gets. Without a route it has
        those of `session`, which a kit client `client` asked for.
        """
        now = self._clock()
        place = route.id if route else KIT_PLACE + client
        key = ("assertion", session.name, session.revision, session.identity.roles, audience, place, line_bytes)
        kept = self._kept.get(key)
        if kept is not None and now < kept.until:
            return kept.token
        expires_at = min(now + UPSTREAM_SECONDS, session.absolute_expires_at)
        seen = replace(session, identity=forwarded(session.identity, route.groups_forwarded)) if route else session
        most = line_bytes or (assertion_line_bytes(route) if route else IDENTITY_LINE_BYTES)
        header = route.assertion_header if route else ""
        made = self._assertions.for_upstream(seen, audience=audience, route=place, line_bytes=most, header=header)
        token = OutgoingToken(made.token, expires_at, made.omitted)
        self._keep(key, token, until=min(now + REUSE_SECONDS, session.absolute_expires_at - 1))
        return token

    async def _assertion_of(self, session: Session, route: RouteSettings, *, line_bytes: int) -> OutgoingToken:
        """Make the assertion of `route`. If it leaves something out, the API can ask for it at `/auth/identity`."""
        made = self.assertion(session, audience=route.audience, route=route, line_bytes=line_bytes)
        if made.omitted and session.is_machine and made.expires_at is not None:
            await self._machines.keep(session, until=made.expires_at)
        return made

    async def _access_token(self, session: Session, *, beside_id_token: bool = False) -> OutgoingToken:
        outcome = await self._refresher.access_token(session, beside_id_token=beside_id_token)
        match outcome:
            case BearerToken(token, expires_at):
                return OutgoingToken(token, expires_at)
            case NoToken():
                raise LoginRequired("token_expired", "Your sign-in no longer reaches this application.")
            case SessionOver():
                raise LoginRequired()
            case RefreshFailed(retry_after):
                raise Unavailable("token_refresh", retry_after=retry_after)
            case unknown:
                assert_never(unknown)

    async def _id_token(self, session: Session) -> OutgoingToken:
        access = await self._access_token(session, beside_id_token=True)
        current = await self._sessions.load(session.name)
        if current is None:
            raise LoginRequired()
        now = self._clock()
        if is_id_token_due(current.tokens, now=now):
            raise Unavailable("token_refresh", retry_after=RETRY_SECONDS)
        # A refresh may bring no new ID token (Core section 12.2). So the ID token may have expired although the access
        # token is alive.
        ends = unverified_claims(current.tokens.id_token).get("exp", access.expires_at)
        if not current.tokens.id_token or (isinstance(ends, int | float) and ends <= now):
            raise LoginRequired("token_expired", "Your sign-in no longer reaches this application.")
        return OutgoingToken(current.tokens.id_token, ends)

    async def _exchanged(self, route: RouteSettings, session: Session) -> OutgoingToken:
        """Exchange a token (RFC 8693); kept by session, audience, resource and scope, until its subject token ends."""
        wanted = route.exchange
        subject = await self._access_token(session)
        key = ("exchange", session.name, session.provider, wanted.audience, wanted.resource, wanted.scope)
        form = build_exchange_grant(
            subject.token, audience=wanted.audience, resource=wanted.resource, scope=wanted.scope
        )
        return await self._granted(key, self._providers[session.provider], form, code="token_exchange")

    async def _service_token(self, route: RouteSettings, session: Session | None) -> OutgoingToken:
        name = route.provider or (session.provider if session else next(iter(self._providers)))
        wanted = route.exchange
        key = ("client_credentials", name, wanted.scope, wanted.audience)
        form = build_client_credentials_grant(scope=wanted.scope, audience=wanted.audience)
        return await self._granted(key, self._providers[name], form, code="client_credentials")

    async def _granted(
        self, key: tuple[object, ...], provider: Provider, form: dict[str, str], *, code: str
    ) -> OutgoingToken:
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept.until:
            return kept.token
        task = self._flights.get(key)
        if task is None:
            task = self._flights[key] = asyncio.create_task(self._grant(key, provider, form, code=code))
            task.add_done_callback(lambda _: self._flights.pop(key, None))
        return await asyncio.shield(task)

    async def _grant(
        self, key: tuple[object, ...], provider: Provider, form: dict[str, str], *, code: str
    ) -> OutgoingToken:
        try:
            answer = await provider.request_token(form)
        except ProviderUnavailable:
            raise
        except AuthError as exc:
            raise UpstreamFailed(code, detail=exc.code) from exc
        if isinstance(answer, GrantRefused):
            raise UpstreamFailed(code, detail=answer.error or f"status {answer.status}")
        expires_at = answer.expires_at(assumed=UNSAID_SECONDS)
        token = OutgoingToken(answer.access_token, expires_at)
        lifetime = UNSAID_SECONDS if expires_at is None else expires_at - answer.asked_at
        self._keep(key, token, until=answer.asked_at + lifetime * KEPT_SHARE)
        return token

    def _keep(self, key: tuple[object, ...], token: OutgoingToken, *, until: float) -> None:
        self._kept[key] = _Kept(token, until)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
