"""Unfinished sign-ins: kept in the store, bound to the browser by a short signed cookie, taken exactly once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from bff.browser.addresses import address_group
from bff.browser.cookies import CookieNames, build_clear_cookie, build_set_cookie, find_cookie, transaction_cookie_names
from bff.errors import CallbackRejected, Unavailable
from bff.oidc.authorization import LoginTransaction
from bff.sessions.keyring import Keyring, SealBroken
from bff.settings.tables import LimitSettings
from bff.stores.protocol import Store, TooMany

PURPOSE = "transaction"
KIND = "login"
MAX_COOKIES = 20
"""Sign-ins that one browser may have open, as when it restores its tabs: less than 3 kB of cookies."""


class Transactions:
    """Stores and takes `LoginTransaction`s within the limits of `[limits]`."""

    def __init__(self, store: Store, keyring: Keyring, limits: LimitSettings) -> None:
        self._store = store
        self._keyring = keyring
        self._limits = limits

    async def keep(self, transaction: LoginTransaction, *, address: str) -> None:
        """Store a transaction. The number is limited for each client (`address_group`) and in total.

        Raises:
            Unavailable: `login_limit`.
        """
        name = _record_name(transaction.state)
        sealed = self._keyring.seal(json.dumps(asdict(transaction)).encode(), purpose=PURPOSE, name=name)
        seconds, limits = self._limits.login_seconds, self._limits
        from_address = self._address_kind(address)
        try:
            await self._store.put_once(from_address, name, b"", seconds=seconds, cap=limits.pending_logins_per_address)
            await self._store.put_once(KIND, name, sealed, seconds=seconds, cap=limits.pending_logins)
        except TooMany:
            await self._store.take_once(from_address, name)  # a refused sign-in leaves nothing behind
            raise Unavailable("login_limit", "Too many sign-ins are under way. Please try again in a moment.") from None

    async def take(self, state: str, *, address: str) -> LoginTransaction:
        """Take the transaction of `state` out of the store; works once.

        Raises:
            CallbackRejected: `callback_unknown`.
        """
        name = _record_name(state)
        sealed = await self._store.take_once(KIND, name)
        await self._store.take_once(self._address_kind(address), name)
        return self._read(sealed, name)

    async def look_at(self, state: str) -> LoginTransaction | None:
        """Return the transaction of `state` and leave it where it is; None if there is none."""
        name = _record_name(state)
        try:
            return self._read(await self._store.peek(KIND, name), name)
        except CallbackRejected:
            return None

    def _read(self, sealed: bytes | None, name: str) -> LoginTransaction:
        if sealed is None:
            raise CallbackRejected("callback_unknown", detail="the sign-in is unknown, used or expired")
        try:
            table = json.loads(self._keyring.unseal(sealed, purpose=PURPOSE, name=name))
            return LoginTransaction(**{**table, "acr_values": tuple(table["acr_values"])})
        except (SealBroken, ValueError, TypeError, KeyError):
            raise CallbackRejected("callback_unknown", detail="the record has another schema or key") from None

    def _address_kind(self, address: str) -> str:
        return f"{KIND}-from:{self._keyring.owner_names('address', address_group(address))[0][:16]}"

    def cookies_to_set(
        self, state: str, *, names: CookieNames, sent: Sequence[bytes], now: float, cross_site: bool
    ) -> list[str]:
        """Return Set-Cookie values that bind `state` to this browser, and delete the oldest of too many cookies."""
        stamp = str(int(now))
        signature = self._keyring.sign(f"{state}|{stamp}", purpose=PURPOSE).rpartition(".")[2]
        fresh = build_set_cookie(
            cookie_name(state, names),
            f"{stamp}.{signature}",
            secure=names.secure,
            max_age=int(self._limits.login_seconds),
            same_site="None" if cross_site and names.secure else "Lax",
        )
        surplus = self._oldest_first(sent, names)[: -(MAX_COOKIES - 1)]
        return [build_clear_cookie(name, secure=names.secure) for name in surplus] + [fresh]

    def is_bound(self, state: str, *, names: CookieNames, sent: Sequence[bytes], now: float) -> bool:
        """True if this browser sent the cookie of `state`, and in time. Raises `DuplicateCookie`."""
        stamp, _, signature = (find_cookie(sent, cookie_name(state, names)) or "").partition(".")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 16):
            return False
        if self._keyring.unsign(f"{state}|{stamp}.{signature}", purpose=PURPOSE) is None:
            return False
        return -60 <= now - int(stamp) <= self._limits.login_seconds

    def _oldest_first(self, sent: Sequence[bytes], names: CookieNames) -> list[str]:
        return list(dict.fromkeys(transaction_cookie_names(sent, names)))


def cookie_name(state: str, names: CookieNames) -> str:
    """Return `<prefix><8 hex>`: each sign-in has its own cookie, so that tabs do not disturb each other."""
    return names.transaction_prefix + _record_name(state)[:8]


def _record_name(state: str) -> str:
    return hashlib.sha256(b"transaction" + state.encode("ascii")).hexdigest()
