"""The store of a single process: a dictionary with the same rules as Redis. It ends with the process."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bff.stores.events import Listener, SessionEvent
from bff.stores.protocol import StoredRecord, TooMany


@dataclass(slots=True)
class _Record:
    sealed: bytes
    revision: int
    idle_expires_at: float
    absolute_expires_at: float
    owners: tuple[str, ...]

    @property
    def expires_at(self) -> float:
        return min(self.idle_expires_at, self.absolute_expires_at)


@dataclass(slots=True)
class _Value:
    value: bytes
    expires_at: float


class MemoryStore:
    """`Store` in memory. Not thread-safe: one event loop uses it, and no operation awaits, so each is atomic."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._owned: dict[str, set[str]] = {}
        self._barriers: dict[str, tuple[float, float]] = {}
        self._locks: dict[str, tuple[str, float]] = {}
        self._values: dict[str, dict[str, _Value]] = {}
        self._expiries: list[tuple[float, str, str]] = []
        self._listeners: dict[int, Listener] = {}
        self._next_listener = 0

    @property
    def is_hearing(self) -> bool:
        return True

    async def now(self) -> float:
        return self._clock()

    async def ping(self) -> None:
        return None

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        now = self._sweep()
        if self._live(name) is not None:
            return False
        self._records[name] = _Record(sealed, 0, now + idle_seconds, absolute_expires_at, tuple(owners))
        for owner in owners:
            self._owned.setdefault(owner, set()).add(name)
        self._watch("record", name, self._records[name].expires_at)
        return True

    async def load(self, name: str) -> StoredRecord | None:
        record = self._live(name)
        return StoredRecord(record.sealed, record.revision, record.expires_at) if record else None

    async def replace(self, name: str, sealed: bytes, *, revision: int) -> bool:
        record = self._live(name)
        if record is None or record.revision != revision:
            return False
        record.sealed, record.revision = sealed, revision + 1
        return True

    async def touch(self, name: str, *, idle_seconds: float, absolute_expires_at: float) -> float | None:
        record = self._live(name)
        if record is None:
            return None
        record.idle_expires_at = max(record.idle_expires_at, self._clock() + idle_seconds)
        record.absolute_expires_at = min(record.absolute_expires_at, absolute_expires_at)
        return record.expires_at

    async def delete(self, name: str) -> bool:
        was_alive = self._live(name) is not None
        self._drop(name)
        return was_alive

    async def owned_by(self, owner: str) -> list[str]:
        return [name for name in sorted(self._owned.get(owner, ())) if self._live(name)]

    async def set_barrier(self, owner: str, *, seconds: float) -> float:
        now = self._sweep()
        self._barriers[owner] = (now, now + seconds)
        self._watch("barrier", owner, now + seconds)
        return now

    async def barriers(self, owners: Sequence[str]) -> float:
        now = self._clock()
        alive = [at for owner in owners if (entry := self._barriers.get(owner)) for at, end in (entry,) if end > now]
        return max(alive, default=0.0)

    async def lock(self, name: str, holder: str, *, seconds: float) -> bool:
        now = self._sweep()
        current = self._locks.get(name)
        if current is not None and current[0] != holder and current[1] > now:
            return False
        self._locks[name] = (holder, now + seconds)
        if current is None:  # a record that exists is already watched
            self._watch("lock", name, now + seconds)
        return True

    async def unlock(self, name: str, holder: str) -> None:
        if self._locks.get(name, ("", 0.0))[0] == holder:
            del self._locks[name]

    async def holder_of(self, name: str) -> str | None:
        holder, ends = self._locks.get(name, ("", 0.0))
        return holder if ends > self._clock() else None

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        now = self._sweep()
        values = self._values.setdefault(kind, {})
        if name in values:
            return False
        if len(values) >= cap:
            raise TooMany(kind)
        values[name] = _Value(value, now + seconds)
        self._watch(f"value:{kind}", name, now + seconds)
        return True

    async def take_once(self, kind: str, name: str) -> bytes | None:
        value = self._discard(kind, name)
        return value.value if value is not None and value.expires_at > self._clock() else None

    async def keep(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> None:
        self._discard(kind, name)
        await self.put_once(kind, name, value, seconds=seconds, cap=cap)

    async def peek(self, kind: str, name: str) -> bytes | None:
        value = self._values.get(kind, {}).get(name)
        return value.value if value is not None and value.expires_at > self._clock() else None

    async def publish(self, event: SessionEvent) -> None:
        for listener in list(self._listeners.values()):
            listener(event)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        number = self._next_listener = self._next_listener + 1
        self._listeners[number] = listener

        def unsubscribe() -> None:
            self._listeners.pop(number, None)

        return unsubscribe

    async def aclose(self) -> None:
        self._listeners.clear()

    def _live(self, name: str) -> _Record | None:
        record = self._records.get(name)
        if record is not None and record.expires_at <= self._clock():
            self._drop(name)
            return None
        return record

    def _drop(self, name: str) -> None:
        record = self._records.pop(name, None)
        self._locks.pop(name, None)
        for owner in record.owners if record else ():
            names = self._owned.get(owner)
            if names is not None:
                names.discard(name)
                if not names:
                    del self._owned[owner]

    def _discard(self, kind: str, name: str) -> _Value | None:
        values = self._values.get(kind, {})
        value = values.pop(name, None)
        if not values:
            self._values.pop(kind, None)
        return value

    def _sweep_lock(self, name: str, now: float) -> None:
        ends = self._locks.get(name, ("", 0.0))[1]
        if ends > now:  # it was extended in the meantime: look again at its new end
            self._watch("lock", name, ends)
        else:
            self._locks.pop(name, None)

    def _watch(self, kind: str, name: str, expires_at: float) -> None:
        heapq.heappush(self._expiries, (expires_at, kind, name))

    def _sweep(self) -> float:
        """Forget what has expired. Called whenever something is added, so only live entries take memory."""
        now = self._clock()
        while self._expiries and self._expiries[0][0] <= now:
            _, kind, name = heapq.heappop(self._expiries)
            if kind == "record":
                record = self._live(name)
                if record is not None:  # it was used in the meantime: look again at its new end
                    self._watch(kind, name, record.expires_at)
            elif kind == "barrier":
                if self._barriers.get(name, (0.0, 0.0))[1] <= now:
                    self._barriers.pop(name, None)
            elif kind == "lock":
                self._sweep_lock(name, now)
            else:
                kind = kind.removeprefix("value:")
                value = self._values.get(kind, {}).get(name)
                if value is not None and value.expires_at <= now:
                    self._discard(kind, name)
        return now
