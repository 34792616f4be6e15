"""The verification keys of one provider: fetched lazily, refetched on an unknown key within a small budget."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bff.errors import ProviderUnavailable
from bff.oidc.jwks import VerificationKey
from bff.oidc.jwt_reading import UnknownKey, read_header

FRESH_SECONDS = 600
KEEP_SECONDS = 86_400
COOLDOWN_SECONDS = 10
BURST = 2
MAX_UNKNOWN = 1_000
UNKNOWN_SECONDS = 60
Validated = TypeVar("Validated")
Keys = tuple[VerificationKey, ...]


@dataclass(slots=True)
class _Cached:
    keys: Keys
    at: float


class ProviderKeys:
    """A key set with its age. Removed keys stop counting after `FRESH_SECONDS`; the last good set serves an outage.

    An unknown `kid` fetches at once, twice in a row if need be (two rotations within seconds), then once per
    `COOLDOWN_SECONDS`; a `kid` that stayed unknown after a fetch is not asked for again for `UNKNOWN_SECONDS`. A fetch
    under way is shared and costs its callers nothing, so that all requests of the moment of a rotation pass.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Keys]], *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._cached: _Cached | None = None
        self._flight: asyncio.Task[Keys] | None = None
        self._budget = float(BURST)
        self._budget_at = clock()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._retry_at = 0.0

    async def current(self) -> Keys:
        """The keys, fetched when there are none or they are old.

        Raises:
            ProviderUnavailable: none were ever had, or the last good set is too old.
        """
        now = self._clock()
        cached = self._cached
        if cached is not None and (now - cached.at < FRESH_SECONDS or now < self._retry_at):
            return cached.keys
        try:
            return await self.refresh()
        except ProviderUnavailable:
            if cached is None or now - cached.at > KEEP_SECONDS:
                raise
            self._retry_at = now + COOLDOWN_SECONDS
            return cached.keys

    async def validate(self, token: str, validate: Callable[[Keys], Validated], *, prefix: str) -> Validated:
        """`validate(keys)`, and once more with a fresh set when its key is unknown.

        Raises:
            InvalidToken, ProviderUnavailable: as `validate` and the fetch do.
        """
        keys = await self.current()
        try:
            return validate(keys)
        except UnknownKey:
            if not self._may_refetch(read_header(token, prefix=prefix).kid or ""):
                raise
        fresh = await self.refresh()
        try:
            return validate(fresh)
        except UnknownKey:
            self._remember_unknown(read_header(token, prefix=prefix).kid or "")
            raise

    async def refresh(self) -> Keys:
        """Fetch now; parallel callers share one fetch."""
        flight = self._flight
        if flight is None or flight.done():
            flight = self._flight = asyncio.create_task(self._refresh())
        return await asyncio.shield(flight)

    async def _refresh(self) -> Keys:
        keys = await self._fetch()
        self._cached = _Cached(keys, self._clock())
        return keys

    def _may_refetch(self, kid: str) -> bool:
        now = self._clock()
        if now - self._unknown.get(kid, -UNKNOWN_SECONDS) < UNKNOWN_SECONDS:
            return False
        if self._flight is not None and not self._flight.done():
            return True
        self._budget = min(BURST, self._budget + (now - self._budget_at) / COOLDOWN_SECONDS)
        self._budget_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True

    def _remember_unknown(self, kid: str) -> None:
        self._unknown[kid] = self._clock()
        self._unknown.move_to_end(kid)
        while len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)
