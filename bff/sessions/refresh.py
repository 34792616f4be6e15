"""Keep a session's access token alive, with one refresh grant for each expiry across all processes.

A task of the worker holds the lock, never a request: so a client that disconnects harms nobody. The lock is renewed
while the provider is slow. Its holder reads the record again first, because another process may have done the work.
A new refresh token from the provider must not get lost, because the old one is spent. So while the store cannot be
reached, the task keeps trying to store it, and waiting callers are told that the store is unavailable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from bff.audit import Audit, Event
from bff.contract import EndReason, Identity
from bff.errors import InvalidToken, ProviderUnavailable, StoreUnavailable
from bff.oidc.base64url import base64url
from bff.oidc.id_token import IdTokenExpectation, check_same_person
from bff.oidc.jwt_reading import UnknownKey, unverified_claims
from bff.oidc.tokens import GrantRefused, TokenResponse, UnusableTokenResponse, build_refresh_grant
from bff.provider.client import Provider
from bff.provider.groups import complete_groups
from bff.provider.identity import FoundIn, build_identity, find_names, find_unread_scope
from bff.sessions.grants import fate_of, is_id_token_due, narrowed
from bff.sessions.lifecycle import Sessions
from bff.sessions.record import Session, TokenSet
from bff.stores.events import EverythingUnknown, SessionEvent

LOCK_SECONDS = 6
"""Seconds after which the lock of a dead holder is free; three renewals fit in."""
LOCK_RENEW_SECONDS = 2
LOCK_POLL_SECONDS = 0.05
STORE_AGAIN_SECONDS = 0.1
UNHEARD_SECONDS = 3.0
AFTER_OUTAGE_SECONDS = 1.0
STORE_GIVE_UP_SECONDS = 60
RETRY_SECONDS = 5
MARGIN_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A live token to send. `expires_at` is Unix seconds, None if unknown."""

    token: str = field(repr=False)
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class NoToken:
    """The session has no live token and cannot get one: the person must sign in again."""


@dataclass(frozen=True, slots=True)
class SessionOver:
    """The session has ended meanwhile, at the provider or here."""


@dataclass(frozen=True, slots=True)
class RefreshFailed:
    """The provider cannot be reached and the token has expired; the session stays."""

    retry_after: int


TokenOutcome = BearerToken | NoToken | SessionOver | RefreshFailed


@dataclass(frozen=True, slots=True)
class _Renewed:
    """The new tokens and identity of a session after a grant."""

    tokens: TokenSet
    identity: Identity
    found_in: FoundIn


@dataclass(eq=False, slots=True)
class _Flight:
    """A running grant. `told` is the answer for those who wait; it may come before `task` ends."""

    task: asyncio.Task[TokenOutcome]
    told: asyncio.Future[TokenOutcome]

    def tell(self, failure: StoreUnavailable) -> None:
        if not self.told.done():
            self.told.set_exception(failure)

    def waiting(self) -> asyncio.Future[TokenOutcome]:
        """Return the future for a caller who starts to wait now. An answer given to earlier callers may be old."""
        if self.told.done() and not self.task.done():
            self.told = _unheard(asyncio.get_running_loop().create_future())
        return self.told


class TokenRefresher:
    """Gives out live access tokens and refreshes them before they expire."""

    def __init__(
        self,
        sessions: Sessions,
        providers: Mapping[str, Provider],
        *,
        audit: Audit,
        clock: Callable[[], float],
        refresh_before_expiry: float,
    ) -> None:
        self._sessions = sessions
        self._providers = providers
        self._audit = audit
        self._clock = clock
        self._before = refresh_before_expiry
        self._flights: dict[str, _Flight] = {}
        self._retry_at: dict[str, float] = {}
        self._missed_until = 0.0
        sessions.store.subscribe(self._on_event)

    async def access_token(self, session: Session, *, beside_id_token: bool = False) -> TokenOutcome:
        """Return the token to send for `session` now. Wait for a grant only if the token has expired.

        With `beside_id_token`, wait also if the ID token has expired; it often lives for less time.
        """
        tokens, now = session.tokens, self._clock()
        if beside_id_token and is_id_token_due(tokens, now=now):
            return await self._granted_now(session, beside_id_token=True)
        if tokens.expires_at is None or now < tokens.expires_at - self._margin(tokens):
            return _live(tokens) if tokens.access_token else NoToken()
        if not tokens.refresh_token:
            return _live(tokens) if now < tokens.expires_at else NoToken()
        if now < tokens.expires_at:
            if now >= self._retry_at.get(session.name, 0):
                self._flight(session, beside_id_token=False)
            return _live(tokens)
        return await self._granted_now(session, beside_id_token=beside_id_token)

    async def drain(self) -> None:
        """Wait for the running grants, before the worker ends."""
        if self._flights:
            await asyncio.gather(*(flight.task for flight in self._flights.values()), return_exceptions=True)

    async def _granted_now(self, session: Session, *, beside_id_token: bool) -> TokenOutcome:
        if self._clock() < self._retry_at.get(session.name, 0):
            return RefreshFailed(RETRY_SECONDS)
        return await asyncio.shield(self._flight(session, beside_id_token=beside_id_token).waiting())

    def _margin(self, tokens: TokenSet) -> float:
        lifetime = (tokens.expires_at or 0) - tokens.obtained_at
        return min(self._before, max(lifetime, 0) * MARGIN_SHARE)

    def _flight(self, session: Session, *, beside_id_token: bool) -> _Flight:
        flight = self._flights.get(session.name)
        if flight is None:
            task = asyncio.create_task(self._under_lock(session.name, beside_id_token=beside_id_token))
            flight = _Flight(task, _unheard(asyncio.get_running_loop().create_future()))
            self._flights[session.name] = flight
            task.add_done_callback(lambda _: self._land(session.name))
        return flight

    def _land(self, name: str) -> None:
        flight = self._flights.pop(name)
        if flight.task.cancelled():
            flight.told.cancel()
        elif flight.told.done():
            flight.task.exception()  # the waiting callers already know it
        elif failure := flight.task.exception():
            flight.told.set_exception(failure)
        else:
            flight.told.set_result(flight.task.result())

    async def _under_lock(self, name: str, *, beside_id_token: bool) -> TokenOutcome:
        await self._let_holders_go_first()
        holder = base64url(os.urandom(16))
        lock = f"refresh:{name}"
        while not await self._sessions.store.lock(lock, holder, seconds=LOCK_SECONDS):
            await asyncio.sleep(LOCK_POLL_SECONDS)
            session = await self._sessions.load(name)
            if session is None or not self._is_due(session.tokens, beside_id_token=beside_id_token):
                return SessionOver() if session is None else _live(session.tokens)
        renewal = asyncio.create_task(self._keep(lock, holder))
        try:
            return await self._refresh(name, beside_id_token=beside_id_token)
        finally:
            renewal.cancel()
            await asyncio.wait([renewal])  # one that is on its way would take the lock again after it is released
            with suppress(StoreUnavailable):  # the lock then expires by itself, and the grant is still valid
                await self._sessions.store.unlock(lock, holder)

    async def _let_holders_go_first(self) -> None:
        """After an outage of the store, wait one second before the first grant.

        If the outage was longer than a lock lasts, another process may hold a grant that it could not store. It tries
        every `STORE_AGAIN_SECONDS`, and until then the refresh token in the record is already spent. If no events come
        from the store for long, it is used all the same.
        """
        for _ in range(int(UNHEARD_SECONDS / LOCK_POLL_SECONDS)):
            if self._sessions.store.is_hearing:
                break
            await asyncio.sleep(LOCK_POLL_SECONDS)
        await asyncio.sleep(max(0.0, self._missed_until - asyncio.get_running_loop().time()))

    def _on_event(self, event: SessionEvent) -> None:
        if isinstance(event, EverythingUnknown):  # sent once events from the store arrive again
            self._missed_until = asyncio.get_running_loop().time() + AFTER_OUTAGE_SECONDS

    async def _keep(self, lock: str, holder: str) -> None:
        while True:
            await asyncio.sleep(LOCK_RENEW_SECONDS)
            with suppress(StoreUnavailable):  # the next renewal may succeed
                await self._sessions.store.lock(lock, holder, seconds=LOCK_SECONDS)

    def _is_due(self, tokens: TokenSet, *, beside_id_token: bool) -> bool:
        now = self._clock()
        if beside_id_token and is_id_token_due(tokens, now=now):
            return True
        return tokens.expires_at is not None and now >= tokens.expires_at - self._margin(tokens)

    async def _refresh(self, name: str, *, beside_id_token: bool) -> TokenOutcome:
        session = await self._sessions.load(name)
        if session is None:
            return SessionOver()
        if not self._is_due(session.tokens, beside_id_token=beside_id_token):
            return _live(session.tokens)
        provider = self._providers.get(session.provider)
        if provider is None or not session.tokens.refresh_token:
            return NoToken()
        try:
            await provider.keys.current()  # do not spend a refresh token if nobody could verify the answer
            answer = await provider.request_token(build_refresh_grant(session.tokens.refresh_token))
        except UnusableTokenResponse as exc:
            return await self._unusable(session, exc)
        except (ProviderUnavailable, InvalidToken) as exc:  # nobody can tell what became of the refresh token
            return self._outage(session, exc.code)
        if isinstance(answer, GrantRefused):
            return await self._refused(session, answer)
        return await self._granted(session, provider, answer)

    async def _granted(self, session: Session, provider: Provider, answer: TokenResponse) -> TokenOutcome:
        try:
            renewed = await self._accepted(session, provider, answer)
        except InvalidToken as exc:
            return await self._end_unless_renewed(session, EndReason.REVOKED, why=exc.code)
        return await self._stored(session, renewed)

    async def _unusable(self, session: Session, response: UnusableTokenResponse) -> TokenOutcome:
        """Keep what is known after a grant whose answer cannot be used: the provider is there, and has answered.

        With a new refresh token the next try may succeed. If the one before is spent and the new one cannot be used,
        the session has none: it goes on, and its access token lives to its end.
        """
        tokens = session.tokens
        if response.is_rotated:
            tokens = replace(tokens, refresh_token=response.refresh_token)
            renewed = _Renewed(tokens, session.identity, session.found_in)
            kept = await self._stored(session, renewed, event=None)
            if not isinstance(kept, BearerToken) or kept.token != tokens.access_token:
                return kept  # the session has ended, or another process has newer tokens
        outcome = self._outage(replace(session, tokens=tokens), response.code, detail=fate_of(response))
        is_lost = response.is_rotated and not response.refresh_token
        return NoToken() if is_lost and isinstance(outcome, RefreshFailed) else outcome

    async def _accepted(self, session: Session, provider: Provider, answer: TokenResponse) -> _Renewed:
        old, identity, found_in = session.tokens, session.identity, session.found_in
        claims = await self._verified(session, provider, answer) if answer.id_token else None
        if claims is not None:
            groups = await complete_groups(provider, claims, access_token=answer.access_token, before=identity.groups)
            if groups.reason:
                self._audit.event("groups_unknown", session=session, reason=groups.reason, detail=groups.detail)
            sources = {"id_token": groups.claims}
            if unverified := unverified_claims(answer.access_token):
                sources["access_token"] = unverified
            identity = build_identity(
                sources, provider=provider.name, settings=provider.settings, before=identity, found_in=found_in
            )
            found_in = found_in.joined(find_names(sources, settings=provider.settings))
        for unread in find_unread_scope(answer):
            self._audit.event("claim_unread", session=session, reason=unread.claim, detail=unread.says)
        tokens = TokenSet(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token or old.refresh_token,
            id_token=answer.id_token if claims is not None else old.id_token,
            obtained_at=answer.asked_at,
            expires_at=answer.expires_at(assumed=provider.settings.assumed_lifetime_seconds),
            scope=narrowed(old.scope, answer.scope),
        )
        return _Renewed(tokens, identity, found_in)

    async def _verified(self, session: Session, provider: Provider, answer: TokenResponse) -> dict[str, Any] | None:
        """Return the claims of a refreshed ID token; None if it cannot be verified now, as if it had not been sent.

        The grant is accepted all the same, because only its refresh token is still valid.

        Raises:
            InvalidToken: it breaks a rule, or is about another person.
        """
        identity = session.identity
        expected = IdTokenExpectation(
            issuer=provider.issuer,
            client_id=provider.settings.client_id,
            trusted_audiences=provider.settings.trusted_audiences,
            alg=provider.settings.id_token_alg,
            now=self._clock(),
            clock_skew=provider.settings.clock_skew_seconds,
            nonce=None,
            asked_at=answer.asked_at,
            access_token=answer.access_token,
        )
        try:
            claims = await provider.validate_id_token(answer.id_token, expected)
        except (ProviderUnavailable, UnknownKey) as exc:
            check_same_person(unverified_claims(answer.id_token), issuer=identity.iss, sub=identity.sub)
            self._audit.event("provider_failed", session=session, reason=exc.code)
            return None
        check_same_person(claims, issuer=identity.iss, sub=identity.sub)
        return claims

    async def _stored(self, session: Session, renewed: _Renewed, *, event: Event | None = "refresh_ok") -> TokenOutcome:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + STORE_GIVE_UP_SECONDS
        while True:
            try:
                return await self._store_once(session, renewed, event=event)
            except StoreUnavailable as exc:
                if loop.time() > give_up_at:
                    raise
                self._flights[session.name].tell(exc)
            await asyncio.sleep(STORE_AGAIN_SECONDS)

    async def _store_once(self, session: Session, renewed: _Renewed, *, event: Event | None) -> TokenOutcome:
        current: Session | None = session
        while current is not None:
            changed = await self._sessions.rewrite(
                current, tokens=renewed.tokens, identity=renewed.identity, found_in=renewed.found_in
            )
            if changed is not None:
                self._retry_at.pop(session.name, None)
                if event is not None:
                    self._audit.event(event, session=changed)
                return _live(renewed.tokens)
            current = await self._sessions.load(session.name)
            if current is not None and current.tokens != session.tokens:
                return _live(current.tokens)  # a later grant is already stored, so this result is old
        return SessionOver()

    async def _refused(self, session: Session, refusal: GrantRefused) -> TokenOutcome:
        if refusal.error != "invalid_grant":
            return self._outage(session, refusal.error or f"status_{refusal.status}")
        return await self._end_unless_renewed(session, EndReason.EXPIRED, why="invalid_grant")

    async def _end_unless_renewed(self, session: Session, reason: EndReason, *, why: str) -> TokenOutcome:
        """End a session because its refresh token was refused, unless the session has a newer token by now.

        A holder that was stopped for longer than its lock gets the answer late. Another process may have gone on.
        """
        current = await self._sessions.load(session.name)
        if current is not None and current.tokens != session.tokens:
            return _live(current.tokens)
        self._audit.event("refresh_failed", session=session, reason=why)
        await self._sessions.end(session.name, reason)
        return SessionOver()

    def _outage(self, session: Session, reason: str, *, detail: str = "") -> TokenOutcome:
        now = self._clock()
        self._audit.event("refresh_failed", session=session, reason=reason, detail=detail)
        jitter = os.urandom(1)[0] / 255
        self._retry_at = {name: at for name, at in self._retry_at.items() if at > now}
        self._retry_at[session.name] = now + RETRY_SECONDS * (0.5 + jitter)
        tokens = session.tokens
        if tokens.expires_at is None or now < tokens.expires_at:
            return _live(tokens)
        return RefreshFailed(RETRY_SECONDS)


def _live(tokens: TokenSet) -> BearerToken:
    return BearerToken(tokens.access_token, tokens.expires_at)


def _unheard(told: asyncio.Future[TokenOutcome]) -> asyncio.Future[TokenOutcome]:
    """Mark the result as read: a background refresh has no waiting caller. The next request sees a failed store."""
    told.add_done_callback(_mark_retrieved)
    return told


def _mark_retrieved(told: asyncio.Future[TokenOutcome]) -> None:
    if not told.cancelled():
        told.exception()
