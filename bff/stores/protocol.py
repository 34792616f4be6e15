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
    """A sealed record as it is in the store. `idle_expires_at` is Unix seconds of the store's clock."""

    sealed: bytes = field(repr=False)
    revision: int
    idle_expires_at: float


class Store(Protocol):
    """Where sessions and short-lived values live. Every operation is atomic and touches one key.

    Values are sealed and names cannot be guessed: somebody who reads the store cannot use a session. Any failure to
    answer is `StoreUnavailable`. Times are seconds of the store's own clock (`now`). Owners are HMAC names.
    """

    @property
    def is_hearing(self) -> bool:
        """True while events of all processes arrive here. Only then may something that was read earlier be used."""
        ...

    async def now(self) -> float: ...

    async def ping(self) -> None: ...

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        """Write a new record at revision 0 and list it under `owners`. False if the name is taken."""
        ...

    async def load(self, name: str) -> StoredRecord | None: ...

    async def replace(self, name: str, sealed: bytes, *, revision: int) -> bool:
        """Rewrite a record if its revision is `revision`; it becomes `revision + 1`. The idle time does not change."""
        ...

    async def touch(self, name: str, *, idle_seconds: float, absolute_expires_at: float) -> float | None:
        """Extend the idle time, but never beyond the absolute end. Return its new end, None if there is no record."""
        ...

    async def delete(self, name: str) -> bool:
        """Remove a record. False if there was none."""
        ...

    async def owned_by(self, owner: str) -> list[str]:
        """Return the names of live records that are listed under `owner`."""
        ...

    async def set_barrier(self, owner: str, *, seconds: float) -> float:
        """Record that every session of `owner` whose login has started by now is over. Return the store's time."""
        ...

    async def barriers(self, owners: Sequence[str]) -> float:
        """Return the latest barrier among `owners`, 0 if there is none."""
        ...

    async def lock(self, name: str, holder: str, *, seconds: float) -> bool:
        """Take or extend the lock `name` for `holder`. False while somebody else has it."""
        ...

    async def unlock(self, name: str, holder: str) -> None:
        """Release the lock if `holder` still has it."""
        ...

    async def holder_of(self, name: str) -> str | None:
        """Return who has the lock `name`; None if nobody has it."""
        ...

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        """Keep a short-lived value. False if the name is taken.

        Raises:
            TooMany: `cap` values of this kind are alive.
        """
        ...

    async def take_once(self, kind: str, name: str) -> bytes | None:
        """Remove and return a short-lived value. Exactly one caller gets it."""
        ...

    async def keep(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> None:
        """Keep a short-lived value in place of an older one.

        Raises:
            TooMany: `cap` other values of this kind are alive.
        """
        ...

    async def peek(self, kind: str, name: str) -> bytes | None:
        """Return a short-lived value without removing it."""
        ...

    async def publish(self, event: SessionEvent) -> None: ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every event from any process, until the returned function is called."""
        ...

    async def aclose(self) -> None: ...
