"""The life of a session: open, resume, touch, end. An end wins over every operation that is running."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from bff.contract import EndReason, Identity
from bff.errors import StoreUnavailable
from bff.oidc.authorization import new_secret
from bff.provider.identity import NOWHERE, FoundIn
from bff.sessions.keyring import Keyring, SealBroken, record_name
from bff.sessions.record import Session, TokenSet, dump_session, load_session
from bff.settings.tables import SessionSettings
from bff.stores.events import SessionChanged, SessionsEnded
from bff.stores.protocol import Store, StoredRecord

COOKIE_PURPOSE = "session"
RECORD_PURPOSE = "session-record"
MOST_NAMES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The result of a finished sign-in: the person, the tokens, and when the sign-in started (store time)."""

    identity: Identity
    tokens: TokenSet
    sid: str
    origin: str
    login_started_at: float
    replaces: str = ""
    device: str = ""
    proved_at: float = 0
    found_in: FoundIn = NOWHERE


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that a new session ended, and why."""

    session: Session
    reason: Literal["superseded", "account_switch", "session_limit"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session, the cookie value that opens it, and the sessions that it ended."""

    session: Session
    cookie: str
    ended: tuple[Ended, ...] = ()


class Sessions:
    """Opens, loads and ends the sessions of one store. Raises `StoreUnavailable` if the store does not answer."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        settings: SessionSettings,
        *,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.store = store
        self.keyring = keyring
        self._settings = settings
        self._random = random
        self._names: dict[str, str] = {}

    async def open(self, opening: Opening) -> Opened | None:
        """Open a session with a new id and delete the old one; None if a barrier has already ended this sign-in."""
        now = await self.store.now()
        session_id = new_secret(self._random)
        absolute = now + self._settings.absolute_seconds
        session = Session(
            name=record_name(session_id),
            revision=0,
            identity=replace(opening.identity, expires_at=int(absolute)),
            tokens=opening.tokens,
            sid=opening.sid,
            origin=opening.origin,
            device=opening.device,
            proved_at=opening.proved_at,
            found_in=opening.found_in,
            created_at=now,
            login_started_at=opening.login_started_at,
            absolute_expires_at=absolute,
            idle_expires_at=now + self._settings.idle_seconds,
        )
        created = await self.store.create(
            session.name,
            self._seal(session),
            owners=[names[0] for names in self.owners_of(session)],
            idle_seconds=self._settings.idle_seconds,
            absolute_expires_at=absolute,
        )
        # Read the barrier after writing the record: a logout in between has either deleted the record or is seen here.
        if not created or await self.is_barred(session):
            await self.store.delete(session.name)
            return None
        ended = (*await self.end_replaced(opening.replaces, by=session), *await self._enforce_cap(session))
        return Opened(session, self.keyring.sign(session_id, purpose=COOKIE_PURPOSE), ended)

    def name_of(self, cookie: str) -> str | None:
        """Return the record name of a signed cookie value, None if the signature is wrong. No I/O.

        Names of right cookies are remembered: checking a signature is a good part of what a request costs.
        """
        name = self._names.get(cookie)
        if name is not None:
            return name
        session_id = self.keyring.unsign(cookie, purpose=COOKIE_PURPOSE)
        if not session_id:
            return None
        if len(self._names) >= MOST_NAMES:
            del self._names[next(iter(self._names))]
        name = self._names[cookie] = record_name(session_id)
        return name

    async def load(self, name: str) -> Session | None:
        """Return the live session of a record name: unsealed, within its time limits, not ended by a barrier."""
        record = await self.store.load(name)
        session = self._unseal(name, record) if record else None
        if session is None or session.absolute_expires_at <= await self.store.now():
            return None
        if await self.is_barred(session):
            await self.store.delete(name)
            return None
        return session

    async def touch(self, session: Session) -> float | None:
        """Extend the idle time and return its new end, None if the session is gone."""
        return await self.store.touch(
            session.name,
            idle_seconds=self._settings.idle_seconds,
            absolute_expires_at=session.absolute_expires_at,
        )

    async def rewrite(
        self, session: Session, *, tokens: TokenSet, identity: Identity, found_in: FoundIn | None = None
    ) -> Session | None:
        """Store new tokens and claims if the record is still at `session.revision`; None if it changed or is gone."""
        changed = replace(
            session,
            tokens=tokens,
            identity=identity,
            found_in=found_in or session.found_in,
            revision=session.revision + 1,
        )
        try:
            written = await self.store.replace(session.name, self._seal(changed), revision=session.revision)
        except StoreUnavailable:
            with suppress(StoreUnavailable):  # it may have been written, and only the answer or a replica is missing
                await self.store.publish(SessionChanged(session.name))
            raise
        if not written:
            return None
        await self.store.publish(SessionChanged(session.name))
        return changed

    async def end(self, name: str, reason: EndReason) -> bool:
        """End one session everywhere; False if it had already ended."""
        existed = await self.store.delete(name)
        await self.store.publish(SessionsEnded(reason, name=name))
        return existed

    async def end_person(self, issuer: str, sub: str, reason: EndReason) -> list[Session]:
        """End every session and unfinished sign-in of a person; return the sessions that were alive."""
        return await self._end_owner(self.keyring.owner_names("sub", issuer, sub), reason)

    async def end_provider_session(self, issuer: str, sid: str, reason: EndReason, *, sub: str = "") -> list[Session]:
        """End every session of one provider session (`sid`). If `sub` is given, end only those of this person."""
        names = self.keyring.owner_names("sid", issuer, sid)
        if sub:
            names = self.keyring.owner_names("sub+sid", issuer, sub, sid)
        return await self._end_owner(names, reason)

    async def of_person(self, issuer: str, sub: str) -> list[Session]:
        """Return the live sessions of a person, newest first."""
        return await self._owned_by(self.keyring.owner_names("sub", issuer, sub))

    async def of_provider_session(self, issuer: str, sid: str) -> list[Session]:
        """Return the live sessions of one provider session, newest first."""
        return await self._owned_by(self.keyring.owner_names("sid", issuer, sid))

    async def _owned_by(self, owners: tuple[str, ...]) -> list[Session]:
        names: dict[str, None] = {}
        for owner in owners:
            names |= dict.fromkeys(await self.store.owned_by(owner))
        loaded = [await self.load(name) for name in names]
        return sorted((session for session in loaded if session), key=lambda session: -session.created_at)

    def owners_of(self, session: Session) -> list[tuple[str, ...]]:
        """Return the owner names of a session: one tuple for each owner, with a name for each key."""
        owners = [self.keyring.owner_names("sub", session.identity.iss, session.identity.sub)]
        if session.sid:
            owners.append(self.keyring.owner_names("sid", session.identity.iss, session.sid))
            owners.append(self.keyring.owner_names("sub+sid", session.identity.iss, session.identity.sub, session.sid))
        return owners

    def barriers_of(self, session: Session) -> list[tuple[str, ...]]:
        """Return the names whose barriers end `session`: its owners, and everybody."""
        return [*self.owners_of(session), self.keyring.owner_names("everybody")]

    async def end_everybody(self, reason: EndReason) -> None:
        """End every session there is. Records are removed as they are met, or by their own end."""
        names = self.keyring.owner_names("everybody")
        at = await self.store.set_barrier(names[0], seconds=self._settings.absolute_seconds)
        for owner in names:
            await self.store.publish(SessionsEnded(reason, owner=owner, at=at))

    async def _end_owner(self, names: tuple[str, ...], reason: EndReason) -> list[Session]:
        at = await self.store.set_barrier(names[0], seconds=self._settings.absolute_seconds)
        for owner in names:  # the barrier is enough to end the sessions; deleting and publishing only make it faster
            await self.store.publish(SessionsEnded(reason, owner=owner, at=at))
        ended: list[Session] = []
        for owner in names:
            for name in await self.store.owned_by(owner):
                record = await self.store.load(name)
                session = self._unseal(name, record) if record else None
                if session is None or session.login_started_at <= at:
                    await self.store.delete(name)
                    ended += [session] if session else []
        return ended

    async def is_barred(self, session: Session) -> bool:
        """True if a sign-out of its person, its provider session or everybody ended `session`."""
        names = [name for owner in self.barriers_of(session) for name in owner]
        return await self.store.barriers(names) >= session.login_started_at

    async def end_replaced(self, name: str, *, by: Session) -> tuple[Ended, ...]:
        """End the session that `by` replaces in a browser: superseded for the same person, else a logout.

        A session of another origin is left alone: its cookie came here by mistake or theft.
        """
        if not name:
            return ()
        record = await self.store.load(name)
        old = self._unseal(name, record) if record else None
        if old is not None and old.origin != by.origin:
            return ()
        same = old is not None and (old.identity.iss, old.identity.sub) == (by.identity.iss, by.identity.sub)
        await self.end(name, EndReason.SUPERSEDED if same else EndReason.LOGOUT)
        return (Ended(old, "superseded" if same else "account_switch"),) if old is not None else ()

    async def _enforce_cap(self, session: Session) -> tuple[Ended, ...]:
        if not self._settings.max_per_person:
            return ()
        sessions = await self.of_person(session.identity.iss, session.identity.sub)
        others = [other for other in sessions if other.name != session.name]
        surplus = others[self._settings.max_per_person - 1 :]
        for old in surplus:
            await self.end(old.name, EndReason.REVOKED)
        return tuple(Ended(old, "session_limit") for old in surplus)

    def _seal(self, session: Session) -> bytes:
        return self.keyring.seal(
            dump_session(session), purpose=RECORD_PURPOSE, name=session.name, revision=session.revision
        )

    def _unseal(self, name: str, record: StoredRecord) -> Session | None:
        try:
            data = self.keyring.unseal(record.sealed, purpose=RECORD_PURPOSE, name=name, revision=record.revision)
            return load_session(data, name=name, revision=record.revision, idle_expires_at=record.idle_expires_at)
        except (SealBroken, ValueError, TypeError, KeyError):
            return None  # malformed, another schema, moved or rolled back: such a record signs nobody in
