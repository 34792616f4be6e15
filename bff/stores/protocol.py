"""The protocol that every store fulfils: atomic operations on one key each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bff.stores.events import Listener, SessionEvent


class TooMany(Exception):
    """A store holds as many short-lived values of a kind as it may."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A sealed record as the store has it; `idle_expires_at` is Unix seconds of the store's clock."""

    sealed: bytes = field(repr=False)
    revision: int
    idle_expires_at: float


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
