"""The verification keys of one provider: fetched when needed, and again for an unknown key within a small budget."""

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


class _Refetches:
    """The budget of fetches for unknown keys from one kind of sender: a few at once, then one per cooldown."""

    def __init__(self, now: float) -> None:
        self._left = float(BURST)
        self._at = now
        self._unknown: OrderedDict[str, float] = OrderedDict()

    def is_known_to_be_unknown(self, kid: str, *, now: float) -> bool:
        return now - self._unknown.get(kid, -UNKNOWN_SECONDS) < UNKNOWN_SECONDS

    def spend(self, now: float) -> bool:
        """Take one fetch from the budget; False if none is left."""
        self._left = min(BURST, self._left + (now - self._at) / COOLDOWN_SECONDS)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def remember(self, kid: str, *, now: float) -> None:
        if not kid:
            return  # otherwise every token without a `kid` would count as this one
        self._unknown[kid] = now
        self._unknown.move_to_end(kid)
        while len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)


class ProviderKeys:
    """A key set with its age. Removed keys are refused after `FRESH_SECONDS`; the last good set is used in an outage.

    An unknown key causes a fetch at once, twice in a row if needed (two rotations within seconds), then once per
    `COOLDOWN_SECONDS`. A `kid` that is still unknown after a fetch is not fetched again for `UNKNOWN_SECONDS`. Tokens
    from strangers (logout tokens, bearer tokens) and tokens from the provider's own answers have separate budgets: a
    flood of the first never delays the second. Callers share a fetch that is already running, and it costs them nothing
    from the budget. So all requests at the moment of a rotation pass.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Keys]], *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._cached: _Cached | None = None
        self._flight: asyncio.Task[Keys] | None = None
        self._from_strangers, self._from_provider = _Refetches(clock()), _Refetches(clock())
        self._retry_at = 0.0

    async def current(self) -> Keys:
        """Return the keys; fetch them if there are none or they are old.

        Raises:
            ProviderUnavailable: no keys were ever fetched, or the last good set is too old.
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

    async def validate(
        self, token: str, validate: Callable[[Keys], Validated], *, prefix: str, from_provider: bool = False
    ) -> Validated:
        """Call `validate(keys)`, and once more with a fresh set if the key is unknown.

        `from_provider`: the token came in the provider's own answer, not from somebody who can reach this server.

        Raises:
            InvalidToken, ProviderUnavailable: as `validate` and the fetch do.
        """
        refetches = self._from_provider if from_provider else self._from_strangers
        keys = await self.current()
        try:
            return validate(keys)
        except UnknownKey:
            kid = read_header(token, prefix=prefix).kid or ""
            if refetches.is_known_to_be_unknown(kid, now=self._clock()):
                raise
            is_under_way = self._flight is not None and not self._flight.done()
            if not is_under_way and not refetches.spend(self._clock()):
                raise
        fresh = await self.refresh()
        try:
            return validate(fresh)
        except UnknownKey:
            refetches.remember(kid, now=self._clock())
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
