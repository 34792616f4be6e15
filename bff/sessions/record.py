"""The session record and the protocol of its stores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from bff.contract import EndReason, Identity
from bff.provider.identity import NOWHERE, FoundIn


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSet:
    """A person's tokens at one provider. Times are Unix seconds; `expires_at` None when the provider does not say."""

    access_token: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    id_token: str = field(default="", repr=False)
    obtained_at: float = 0
    expires_at: float | None = None
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A signed-in person. `name` is the record name; `revision` counts writes; times are Unix seconds.

    `login_started_at` is store time: a barrier at or after it ends the session.
    """

    name: str
    revision: int
    identity: Identity
    tokens: TokenSet
    sid: str
    origin: str
    created_at: float
    login_started_at: float
    absolute_expires_at: float
    device: str = ""
    proved_at: float = 0
    """When the person last proved who they are, as far as the provider says or was asked for it; 0: unknown."""
    found_in: FoundIn = NOWHERE
    idle_expires_at: float = 0
    """From the store at load time, not part of the sealed record."""

    @property
    def provider(self) -> str:
        return self.identity.provider


def dump_session(session: Session) -> bytes:
    """The sealed part of the record as JSON; name, revision and idle time live beside it."""
    table = asdict(session)
    for beside in ("name", "revision", "idle_expires_at"):
        del table[beside]
    return json.dumps(table, separators=(",", ":")).encode()


def load_session(data: bytes, *, name: str, revision: int, idle_expires_at: float) -> Session:
    """Reverse `dump_session`.

    Raises:
        ValueError, TypeError, KeyError: a record of another schema.
    """
    table: Any = json.loads(data)
    if not isinstance(table, dict):
        raise TypeError("a record is a table")
    identity = dict(table.pop("identity"))
    for names in ("roles", "groups"):
        identity[names] = tuple(identity[names])
    session = Session(
        name=name,
        revision=revision,
        identity=Identity(**identity),
        tokens=TokenSet(**table.pop("tokens")),
        found_in=FoundIn(**{kind: tuple(names) for kind, names in table.pop("found_in", {}).items()}),
        idle_expires_at=idle_expires_at,
        **table,
    )
    _check_types(session)
    return session


def _check_types(session: Session) -> None:
    """Refuse a record whose fields have their names but not their types, before anything computes with them."""
    identity, tokens = session.identity, session.tokens
    texts = (session.sid, session.origin, session.device, identity.iss, identity.sub, identity.provider)
    secrets = (tokens.access_token, tokens.refresh_token, tokens.id_token, tokens.scope)
    times = (
        session.created_at,
        session.login_started_at,
        session.absolute_expires_at,
        session.proved_at,
        tokens.obtained_at,
    )
    names = (*identity.roles, *identity.groups, *session.found_in.roles, *session.found_in.groups)
    if not all(isinstance(text, str) for text in (*texts, *secrets, *names)):
        raise TypeError("a text is none")
    if not all(isinstance(time, int | float) for time in (*times, tokens.expires_at or 0)):
        raise TypeError("a time is none")


def with_tokens(session: Session, tokens: TokenSet, identity: Identity) -> Session:
    return replace(session, tokens=tokens, identity=identity)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A sealed record as the store has it; `idle_expires_at` is Unix seconds of the store's clock."""

    sealed: bytes = field(repr=False)
    revision: int
    idle_expires_at: float


@dataclass(frozen=True, slots=True)
class SessionsEnded:
    """One session (`name`), or every session of an owner that began at or before `at`, is over."""

    reason: EndReason
    name: str = ""
    owner: str = ""
    at: float = 0


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """The record `name` was rewritten: tokens or claims are new."""

    name: str


@dataclass(frozen=True, slots=True)
class EverythingUnknown:
    """Events may have been lost: whatever is remembered of any session has to be read anew."""


SessionEvent = SessionsEnded | SessionChanged | EverythingUnknown
Listener = Callable[[SessionEvent], None]


class Store(Protocol):
    """Where sessions and short-lived values live. Every operation is atomic and touches one key.

    Values arrive sealed and names unguessable: a store can be read by others without opening a session. Any failure to
    answer is `StoreUnavailable`. Seconds are of the store's own clock (`now`). Owners are HMAC names.
    """

    @property
    def is_hearing(self) -> bool:
        """True while events of every process arrive here; only then may something read earlier still be believed."""
        ...

    async def now(self) -> float: ...

    async def ping(self) -> None: ...

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        """Write a new record at revision 0 and list it under `owners`; False when the name is taken."""
        ...

    async def load(self, name: str) -> StoredRecord | None: ...

    async def replace(self, name: str, sealed: bytes, *, revision: int) -> bool:
        """Rewrite an existing record whose revision is `revision`, which becomes `revision + 1`. Idle time stays."""
        ...

    async def touch(self, name: str, *, idle_seconds: float, absolute_expires_at: float) -> float | None:
        """Extend the idle time, never beyond the absolute end; the new idle end, None when the record is gone."""
        ...

    async def delete(self, name: str) -> bool:
        """Remove a record; False when there was none."""
        ...

    async def owned_by(self, owner: str) -> list[str]:
        """Names of live records listed under `owner`."""
        ...

    async def set_barrier(self, owner: str, *, seconds: float) -> float:
        """Record that every session of `owner` whose login started up to now is over; the store's time of it."""
        ...

    async def barriers(self, owners: Sequence[str]) -> float:
        """The latest barrier among `owners`, 0 when there is none."""
        ...

    async def lock(self, name: str, holder: str, *, seconds: float) -> bool:
        """Take or extend the lock `name` for `holder`; False while another has it."""
        ...

    async def unlock(self, name: str, holder: str) -> None:
        """Give the lock up if `holder` still has it."""
        ...

    async def holder_of(self, name: str) -> str | None:
        """Who has the lock `name`; None when nobody has."""
        ...

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        """Keep a short-lived value; False when the name is taken.

        Raises:
            TooMany: `cap` values of this kind are alive.
        """
        ...

    async def take_once(self, kind: str, name: str) -> bytes | None:
        """Remove and return a short-lived value; exactly one caller gets it."""
        ...

    async def keep(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> None:
        """Keep a short-lived value in place of an older one.

        Raises:
            TooMany: `cap` other values of this kind are alive.
        """
        ...

    async def peek(self, kind: str, name: str) -> bytes | None:
        """A short-lived value, left where it is."""
        ...

    async def publish(self, event: SessionEvent) -> None: ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every event from any process; the returned function ends that."""
        ...

    async def aclose(self) -> None: ...


class TooMany(Exception):
    """A store holds as many short-lived values of a kind as it may."""


def event_to_wire(event: SessionEvent) -> bytes:
    match event:
        case SessionsEnded():
            table: Mapping[str, Any] = {"e": "ended", **asdict(event)}
        case SessionChanged(name):
            table = {"e": "changed", "name": name}
        case EverythingUnknown():
            table = {"e": "unknown"}
    return json.dumps(table, separators=(",", ":")).encode()


def event_from_wire(data: bytes) -> SessionEvent:
    """Reverse `event_to_wire`.

    Raises:
        ValueError, TypeError, KeyError: not an event of this version.
    """
    table: dict[str, Any] = json.loads(data)
    kind = table.pop("e")
    if kind == "changed":
        return SessionChanged(str(table["name"]))
    if kind == "unknown":
        return EverythingUnknown()
    if kind != "ended":
        raise ValueError("an event of another version")
    return SessionsEnded(EndReason(table["reason"]), str(table["name"]), str(table["owner"]), float(table["at"]))
