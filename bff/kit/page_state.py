"""Page state that survives a reload: small, sealed, and owned by one person at one kit client."""

from __future__ import annotations

import hashlib
import re

from bff.errors import BadRequest, NotFound, Unavailable
from bff.sessions.keyring import Keyring, SealBroken
from bff.sessions.record import Session
from bff.stores.protocol import Store, TooMany

STATE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_BYTES = 65_536
MAX_STATES = 50
"""The number of states for each person and kit client."""
PURPOSE = "kit-state"


class KitStates:
    """Loads and saves the states of the signed-in person."""

    def __init__(self, store: Store, keyring: Keyring, *, seconds: float) -> None:
        self._store = store
        self._keyring = keyring
        self._seconds = seconds

    async def load(self, session: Session, *, client: str, state_id: str) -> bytes:
        """Return the value that was saved last.

        Raises:
            NotFound: there is no such value any more.
        """
        for kind, name in self._places(session, client, state_id):
            sealed = await self._store.peek(kind, name)
            if sealed is not None:
                try:
                    return self._keyring.unseal(sealed, purpose=PURPOSE, name=f"{kind}/{name}")
                except SealBroken:
                    continue
        raise NotFound("state_not_found")

    async def save(self, session: Session, value: bytes, *, client: str, state_id: str) -> None:
        """Save `value`, at most `MAX_BYTES`, for as long as a session may last.

        Raises:
            Unavailable: `state_limit`, the person already has `MAX_STATES` at this client.
        """
        (kind, name), *older = self._places(session, client, state_id)
        sealed = self._keyring.seal(value, purpose=PURPOSE, name=f"{kind}/{name}")
        try:
            await self._store.keep(kind, name, sealed, seconds=self._seconds, cap=MAX_STATES)
        except TooMany:
            raise Unavailable("state_limit", "Too much is saved already.", retry_after=3600) from None
        for place in older:  # nobody reads these now, but they would come back if only the newest were deleted
            await self._store.take_once(*place)

    async def delete(self, session: Session, *, client: str, state_id: str) -> None:
        for place in self._places(session, client, state_id):
            await self._store.take_once(*place)

    def _places(self, session: Session, client: str, state_id: str) -> list[tuple[str, str]]:
        """Return kind and name for each key, newest first. Write under the first; read under all."""
        if not STATE_ID.fullmatch(state_id):
            raise BadRequest("state_id")
        name = hashlib.sha256(f"{client}|{state_id}".encode()).hexdigest()
        owners = self._keyring.owner_names("sub", session.identity.iss, session.identity.sub)
        # The store counts by kind. The client is part of the kind, so no client can use up the places of another.
        return [(f"state:{owner}:{client}", name) for owner in owners]
