"""Return targets that are too long for an answer's head: kept in the store for a while, under a short name.

The name is an HMAC over origin and target. So the same page asked for a hundred times is one value, and nobody can make
up the name of a target that was not kept.
"""

from __future__ import annotations

import re

from bff.browser.addresses import address_group
from bff.errors import Unavailable
from bff.sessions.keyring import Keyring, SealBroken
from bff.settings.tables import LimitSettings
from bff.stores.protocol import Store, TooMany

PURPOSE = "return-target"
KIND = "target"
_NAME = re.compile(r"[0-9a-f]{64}")


class ReturnTargets:
    """Keeps and finds targets within the limits of unfinished sign-ins (`[limits]`)."""

    def __init__(self, store: Store, keyring: Keyring, limits: LimitSettings) -> None:
        self._store = store
        self._keyring = keyring
        self._limits = limits

    async def keep(self, target: str, *, origin: str, address: str) -> str:
        """Keep `target` of `origin` for `limits.login_seconds`, and return its name (64 characters).

        Raises:
            Unavailable: `login_limit`, too many are kept for this client or in total.
            StoreUnavailable: the store does not answer.
        """
        name = self._keyring.owner_names(PURPOSE, origin, target)[0]
        seconds, limits = self._limits.login_seconds, self._limits
        sealed = self._keyring.seal(target.encode(), purpose=PURPOSE, name=origin + name)
        group = self._keyring.owner_names("address", address_group(address))[0][:16]
        from_address = f"{KIND}-from:{group}"
        try:
            await self._store.keep(from_address, name, b"", seconds=seconds, cap=limits.pending_logins_per_address)
            await self._store.keep(KIND, name, sealed, seconds=seconds, cap=limits.pending_logins)
        except TooMany:
            raise Unavailable("login_limit", "Too many sign-ins are under way. Please try again in a moment.") from None
        return name

    async def find(self, name: str, *, origin: str) -> str:
        """Return the target with this name at `origin`; "" if none is kept there.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        sealed = await self._store.peek(KIND, name) if _NAME.fullmatch(name) else None
        if sealed is None:
            return ""
        try:
            return self._keyring.unseal(sealed, purpose=PURPOSE, name=origin + name).decode()
        except (SealBroken, UnicodeDecodeError):
            return ""
