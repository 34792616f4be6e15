"""What the front door keeps about a machine caller: only who it is, only if that did not fit into an assertion.

A machine caller has no session in the store. An API that got an assertion which leaves something out asks for the rest
within the minute that the assertion lives; this is where the answer is until then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bff.sessions.keyring import SealBroken
from bff.sessions.lifecycle import Sessions
from bff.sessions.record import Session, TokenSet, dump_session, load_session
from bff.stores.protocol import TooMany

KIND: Final = "machine"
PURPOSE: Final = "machine-record"
MOST_KEPT: Final = 10_000
"""The number of machine callers of whom the store holds something at the same time."""
EXTRA_SECONDS: Final = 10.0
"""As much longer as an assertion is accepted after its end, because clocks differ."""


class Machines:
    """Keeps and loads machine callers. Raises `StoreUnavailable` if the store does not answer."""

    def __init__(self, sessions: Sessions, *, clock: Callable[[], float]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._kept: OrderedDict[str, float] = OrderedDict()

    async def keep(self, session: Session, *, until: float) -> None:
        """Keep who the machine caller is until `until`, without its token. Written once for each `until`."""
        if self._kept.get(session.name, 0) >= until:
            return
        bare = dump_session(replace(session, tokens=TokenSet(scope=session.tokens.scope)))
        sealed = self._sessions.keyring.seal(bare, purpose=PURPOSE, name=session.name)
        seconds = until - self._clock() + EXTRA_SECONDS
        try:
            await self._sessions.store.keep(KIND, session.name, sealed, seconds=seconds, cap=MOST_KEPT)
        except TooMany:
            return  # the API asks in vain, and denies with the reason `groups_omitted`
        self._kept[session.name] = until
        self._kept.move_to_end(session.name)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def load(self, name: str) -> Session | None:
        """Return the machine caller `name`, if it is kept and was not signed out since its token was issued."""
        sealed = await self._sessions.store.peek(KIND, name)
        session = self._unseal(name, sealed) if sealed is not None else None
        return None if session is None or await self._sessions.is_barred(session) else session

    def _unseal(self, name: str, sealed: bytes) -> Session | None:
        try:
            bare = self._sessions.keyring.unseal(sealed, purpose=PURPOSE, name=name)
            return load_session(bare, name=name, revision=0, idle_expires_at=0)
        except (SealBroken, ValueError, TypeError, KeyError):
            return None
