"""Sign-ins that an administrator watches: `vestibule doctor --login` while the front door is running.

A ticket begins such a sign-in. Whichever process finishes it writes down how it ended, and the management listener
tells that to whoever has the ticket. Somebody without a ticket signs in as always.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from bff.errors import AuthError, StoreUnavailable, Unavailable
from bff.oidc.authorization import new_secret
from bff.sessions.keyring import Keyring, SealBroken
from bff.stores.protocol import Store, TooMany

KIND: Final = "trial"
MOST: Final = 100
"""Trials that are open or remembered at the same time."""
_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{43}")
Outcome = Mapping[str, str]
"""Empty while the sign-in goes on; then `session` (a record name), `denied` (the provider's code), or `fault` and
`detail`."""


class Trials:
    """Watched sign-ins. They are kept for `seconds`, as long as a sign-in may take."""

    def __init__(
        self, store: Store, keyring: Keyring, *, seconds: float, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._seconds = seconds
        self._random = random

    async def begin(self) -> str:
        """Return a new ticket.

        Raises:
            Unavailable: `login_limit`, too many are open.
        """
        ticket = new_secret(self._random)
        try:
            await self._write(ticket, {})
        except TooMany:
            raise Unavailable("login_limit", "Too many trial sign-ins are under way.") from None
        return ticket

    async def known(self, ticket: str) -> str:
        """Return `ticket` if its sign-in is still to come, else ""."""
        return ticket if ticket and await self.outcome(ticket) == {} else ""

    async def outcome(self, ticket: str) -> Outcome | None:
        """Return how the sign-in of `ticket` ended; None if there is no such ticket."""
        if not _TICKET.fullmatch(ticket):
            return None
        name = _name(ticket)
        sealed = await self._store.peek(KIND, name)
        try:
            found: Outcome | None = (
                json.loads(self._keyring.unseal(sealed, purpose=KIND, name=name)) if sealed else None
            )
        except (SealBroken, ValueError):
            return None
        return found

    async def tell(self, ticket: str, **outcome: str) -> None:
        """Write down how the sign-in of `ticket` ended. Nothing happens without one, or if the store is down."""
        if ticket:
            with suppress(StoreUnavailable, TooMany):
                await self._write(ticket, outcome)

    @asynccontextmanager
    async def watching(self, ticket: str) -> AsyncIterator[None]:
        """Write down the `AuthError` that leaves the block."""
        try:
            yield
        except AuthError as error:
            await self.tell(ticket, fault=error.code, detail=error.detail)
            raise

    async def _write(self, ticket: str, outcome: Outcome) -> None:
        name = _name(ticket)
        sealed = self._keyring.seal(json.dumps(dict(outcome)).encode(), purpose=KIND, name=name)
        await self._store.keep(KIND, name, sealed, seconds=self._seconds, cap=MOST)


def _name(ticket: str) -> str:
    return hashlib.sha256(b"trial" + ticket.encode("ascii")).hexdigest()
