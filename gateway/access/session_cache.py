"""The live sessions of this worker: loaded once, and dropped when any process reports that they ended or changed.

An entry is stored only if no event came while it was read, so a read never brings back what an event removed. While the
store may miss events, no entry counts: every request reads the store.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from bff.assembly import Bff
from bff.contract import Identity
from bff.sessions.assertion import Assertion
from bff.sessions.lifecycle import Sessions
from bff.sessions.record import Session, dump_session
from bff.stores.events import EverythingUnknown, SessionChanged, SessionEvent, SessionsEnded
from gateway.headers.identity import IdentityHeaders

MAX_ENTRIES = 20_000
MAX_BYTES = 20_000 * 6 * 1024
"""What the sessions may weigh together: 6 KiB each on average."""
TOUCH_SECONDS = 30.0
TOUCH_SHARE = 0.1


@dataclass(slots=True)
class LiveSession:
    """A session, with values that are derived once because every request needs them. `identity` has local roles."""

    session: Session
    identity: Identity
    scopes: frozenset[str]
    subject_key: str
    owners: frozenset[str]
    idle_expires_at: float
    touched_at: float
    headers: dict[tuple[str, int | None], IdentityHeaders] = field(default_factory=dict, repr=False)
    """The identity headers by route id and the bytes that they may have; None is what the route can take."""
    handshakes: dict[tuple[str, int], Assertion] = field(default_factory=dict, repr=False)
    """By kit client and bytes of the line."""
    handles: dict[str, str] = field(default_factory=dict, repr=False)
    weight: int = 0
    """The size of the record in bytes, as the store has it before it is sealed."""


class SessionCache:
    """Sessions by record name. The least recently used ones are dropped first."""

    def __init__(self, bff: Bff) -> None:
        self._bff = bff
        self._entries: OrderedDict[str, LiveSession] = OrderedDict()
        self._by_owner: dict[str, set[str]] = {}
        self._bytes = 0
        self._events = 0
        self._unsubscribe = bff.store.subscribe(self.on_event)
        self._touch_every = min(TOUCH_SECONDS, bff.settings.session.idle_seconds * TOUCH_SHARE)

    async def get(self, name: str) -> LiveSession | None:
        """Return the live session `name`.

        Raises:
            StoreUnavailable: it is not cached and the store does not answer.
        """
        now = self._bff.clock()
        entry = self._entries.get(name)
        if entry is not None and self._bff.store.is_hearing:
            if now < entry.idle_expires_at and now < entry.session.absolute_expires_at:
                self._entries.move_to_end(name)
                return entry
            self._drop(name)  # another worker may have extended the idle time: ask the store
        return await self._load(name)

    def is_slide_due(self, live: LiveSession) -> bool:
        """True when activity in the session of `live` is to be written now. No I/O."""
        known = self._entries.get(live.session.name, live)
        return self._bff.clock() - known.touched_at >= self._touch_every

    async def slide(self, live: LiveSession) -> None:
        """Note activity, with at most one write per session and `TOUCH_SECONDS`. A failed write does not count.

        Raises:
            StoreUnavailable: the store did not take the write.
        """
        now, before = self._bff.clock(), live.touched_at
        if now - before < self._touch_every:
            return
        live.touched_at = now  # before the write, so that requests at the same time do not write too
        try:
            idle_end = await self._bff.sessions.touch(live.session)
        except BaseException:  # also a request that is cancelled: nobody knows whether the store was reached
            live.touched_at = before
            raise
        if idle_end is not None:
            live.idle_expires_at = idle_end

    def on_event(self, event: SessionEvent) -> None:
        """Drop the sessions that `event` ended or changed."""
        self._events += 1
        match event:
            case SessionChanged(name):
                self._drop(name)
            case EverythingUnknown():
                self._clear()
            case SessionsEnded(_, name, owner, at):
                if name:
                    self._drop(name)
                for owned in list(self._by_owner.get(owner, ())):
                    entry = self._entries.get(owned)
                    if entry is not None and entry.session.login_started_at <= at:
                        self._drop(owned)

    def close(self) -> None:
        self._unsubscribe()
        self._clear()

    def _clear(self) -> None:
        self._entries.clear()
        self._by_owner.clear()
        self._bytes = 0

    async def _load(self, name: str) -> LiveSession | None:
        before = self._events
        session = await self._bff.sessions.load(name)
        if session is None:
            self._drop(name)
            return None
        entry = describe(
            self._bff.with_roles(session),
            self._bff.sessions,
            idle_seconds=self._bff.settings.session.idle_seconds,
        )
        if self._events == before and self._bff.store.is_hearing:
            self._put(name, entry)
        return entry

    def _put(self, name: str, entry: LiveSession) -> None:
        self._drop(name)
        if entry.weight > MAX_BYTES:
            return
        self._entries[name] = entry
        self._bytes += entry.weight
        for owner in entry.owners:
            self._by_owner.setdefault(owner, set()).add(name)
        while len(self._entries) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._entries)))

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        self._bytes -= entry.weight if entry else 0
        for owner in entry.owners if entry else ():
            names = self._by_owner.get(owner)
            if names is not None:
                names.discard(name)
                if not names:
                    del self._by_owner[owner]


def describe(session: Session, sessions: Sessions, *, idle_seconds: float) -> LiveSession:
    """Return what the gateway needs of `session`, which has its local roles. Refresh and ID tokens stay in the
    store."""
    identity = session.identity
    return LiveSession(
        session=session,
        identity=identity,
        scopes=session.tokens.scopes,
        subject_key=sessions.keyring.subject_key(identity.iss, identity.sub),
        owners=frozenset(name for owner in sessions.barriers_of(session) for name in owner),
        idle_expires_at=session.idle_expires_at,
        touched_at=session.idle_expires_at - idle_seconds,
        weight=len(dump_session(session)),
    )
