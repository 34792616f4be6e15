"""One event for each session whose person does not fit into headers and assertions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from bff.audit import Audit
from bff.errors import StoreUnavailable
from bff.sessions.record import Session
from bff.stores.protocol import Store, TooMany

KIND = "omitted"
MAX_REMEMBERED = 20_000
MAX_NOTED = 100_000


class Omissions:
    """Writes `identity_omitted` once per session, whichever worker notices it first."""

    def __init__(self, store: Store, audit: Audit, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._known: OrderedDict[str, None] = OrderedDict()

    async def note(self, session: Session, omitted: Sequence[str], *, route: str) -> None:
        """Leave the event, unless this session has one. `omitted` names what `route` was not told."""
        if session.name in self._known:
            return
        self._known[session.name] = None
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        if await self._is_first(session):
            identity = session.identity
            size = sum(map(len, identity.groups))
            detail = f"{len(identity.groups)} groups with {size} characters, {len(identity.roles)} roles"
            reason = ",".join(omitted)
            self._audit.event("identity_omitted", session=session, route=route, reason=reason, detail=detail)

    async def _is_first(self, session: Session) -> bool:
        """True if no process has noted this session. Without the store it is noted once per process."""
        seconds = max(session.absolute_expires_at - self._clock(), 1.0)
        try:
            return await self._store.put_once(KIND, session.name, b"1", seconds=seconds, cap=MAX_NOTED)
        except (StoreUnavailable, TooMany):
            return True
