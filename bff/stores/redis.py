"""The store shared by workers and replicas: Redis, alone, behind sentinels or as a cluster (docs/redis.md).

| key below `store.prefix` | is |
|---|---|
| `session:<name>` | hash: `rev`, sealed `data`, absolute end `abs`, last writer `by`; its TTL is the idle time |
| `owner:<owner>` | sorted set of record names by absolute end |
| `barrier:<owner>` | time up to which sign-ins of this owner are over |
| `lock:<name>` | holder |
| `places:<kind>`, `value:<kind>:<name>` | taken places of a kind, by end; a short-lived value |
| `events`, `heartbeat:<process>` | channels |
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bff.errors import StoreUnavailable
from bff.stores import redis_scripts as scripts
from bff.stores.events import Listener, SessionEvent
from bff.stores.protocol import StoredRecord, TooMany
from bff.stores.redis_clock import StoreClock
from bff.stores.redis_commands import RedisCommands, Request
from bff.stores.redis_events import RedisEvents
from bff.stores.redis_nodes import open_nodes
from bff.stores.redis_url import RedisTarget

WRITER_BYTES = 8
UNREADABLE_BARRIER = float("inf")
"""A barrier that exists but cannot be read ends every session: nobody knows which ones it should have ended."""


class RedisStore:
    """`bff.sessions.record.Store` on Redis 6.2 or newer. Opens no connection before the first operation needs one."""

    def __init__(
        self,
        target: RedisTarget,
        *,
        prefix: str,
        timeout: float,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._prefix = prefix
        self._random = random
        self._nodes = open_nodes(target, timeout=timeout)
        self._commands = RedisCommands(self._nodes, timeout=timeout)
        self._clock = StoreClock(self._ask_time, monotonic=monotonic)
        self._events = RedisEvents(self._commands, prefix=prefix, monotonic=monotonic)

    @property
    def is_hearing(self) -> bool:
        return self._events.is_hearing

    async def now(self) -> float:
        return await self._clock.now()

    async def ping(self) -> None:
        self._events.start()
        await self._commands.run(self._key("clock"), "PING")

    async def eviction_policy(self) -> str:
        """Return Redis' `maxmemory-policy`. With any but `noeviction`, Redis may delete sessions and barriers."""
        report: dict[str, Any] = await self._commands.run(self._key("clock"), "INFO", "memory")
        return str(report.get("maxmemory_policy", ""))

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        ends = _milliseconds(absolute_expires_at)
        created = await self._commands.run_script(
            scripts.CREATE,
            self._key("session", name),
            sealed,
            _milliseconds(idle_seconds),
            ends,
            self._random(WRITER_BYTES),
            must_be_confirmed=True,
        )
        if created:  # listed after it is written: a listed name without a record counts as ended
            listing = [Request(self._key("owner", owner), (name, ends), scripts.LIST_UNDER_OWNER) for owner in owners]
            await self._commands.run_each(listing)
        return bool(created)

    async def load(self, name: str) -> StoredRecord | None:
        self._events.start()
        found = await self._commands.run_script(scripts.LOAD, self._key("session", name))
        if not found or not found[0].isdigit():
            return None
        return StoredRecord(found[1], int(found[0]), int(found[2]) / 1000)

    async def replace(self, name: str, sealed: bytes, *, revision: int) -> bool:
        return bool(
            await self._commands.run_script(
                scripts.REPLACE,
                self._key("session", name),
                sealed,
                revision,
                revision + 1,
                self._random(WRITER_BYTES),
                must_be_confirmed=True,
            )
        )

    async def touch(self, name: str, *, idle_seconds: float, absolute_expires_at: float) -> float | None:
        ends = await self._commands.run_script(
            scripts.TOUCH, self._key("session", name), _milliseconds(idle_seconds), _milliseconds(absolute_expires_at)
        )
        return int(ends) / 1000 if ends else None

    async def delete(self, name: str) -> bool:
        found = await self._commands.run_script(scripts.DELETE, self._key("session", name), must_be_confirmed=True)
        return bool(found == scripts.WAS_THERE)

    async def owned_by(self, owner: str) -> list[str]:
        key = self._key("owner", owner)
        listed = [name.decode() for name in await self._commands.run_script(scripts.OWNED, key)]
        there = await self._commands.run_each(
            [Request(session, ("EXISTS", session)) for session in (self._key("session", name) for name in listed)]
        )
        gone = [name for name, exists in zip(listed, there, strict=True) if not exists]
        if gone:
            with suppress(StoreUnavailable):  # cleaning up; a name that stays in the list is ignored next time
                await self._commands.run(key, "ZREM", key, *gone)
        return sorted(set(listed) - set(gone))

    async def set_barrier(self, owner: str, *, seconds: float) -> float:
        at = float(
            await self._commands.run_script(
                scripts.SET_BARRIER,
                self._key("barrier", owner),
                _milliseconds(seconds),
                f"{await self.now():.6f}",
                must_be_confirmed=True,
            )
        )
        self._clock.has_passed(at)
        return at

    async def barriers(self, owners: Sequence[str]) -> float:
        texts = await self._commands.run_each(
            [Request(self._key("barrier", owner), (), scripts.READ_BARRIER) for owner in owners]
        )
        return max((_read_barrier(text) for text in texts if text is not None), default=0.0)

    async def lock(self, name: str, holder: str, *, seconds: float) -> bool:
        key = self._key("lock", name)
        return bool(await self._commands.run_script(scripts.LOCK, key, holder, _milliseconds(seconds)))

    async def unlock(self, name: str, holder: str) -> None:
        await self._commands.run_script(scripts.UNLOCK, self._key("lock", name), holder)

    async def holder_of(self, name: str) -> str | None:
        holder: bytes | None = await self._commands.run_script(scripts.HOLDER, self._key("lock", name))
        return holder.decode("utf-8", "replace") if holder is not None else None

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        # First a place, then the value: there are never more values than places, and never more places than `cap`.
        await self._reserve(scripts.RESERVE, kind, name, seconds=seconds, cap=cap)
        marked = self._random(WRITER_BYTES) + value
        key = self._key("value", f"{kind}:{name}")
        return bool(await self._commands.run_script(scripts.PUT_VALUE, key, marked, _milliseconds(seconds)))

    async def take_once(self, kind: str, name: str) -> bytes | None:
        marked: bytes | None = await self._commands.run_script(
            scripts.TAKE_VALUE, self._key("value", f"{kind}:{name}"), is_repeatable=False
        )
        if marked is None or len(marked) < WRITER_BYTES:
            return None
        with suppress(StoreUnavailable):  # we have the value; its place becomes free when its time is over
            places = self._key("places", kind)
            await self._commands.run(places, "ZREM", places, name)
        return marked[WRITER_BYTES:]

    async def keep(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> None:
        await self._reserve(scripts.RENEW, kind, name, seconds=seconds, cap=cap)
        key = self._key("value", f"{kind}:{name}")
        marked = self._random(WRITER_BYTES) + value
        await self._commands.run(key, "SET", key, marked, "PX", _milliseconds(seconds))

    async def peek(self, kind: str, name: str) -> bytes | None:
        marked: bytes | None = await self._commands.run_script(scripts.PEEK_VALUE, self._key("value", f"{kind}:{name}"))
        return marked[WRITER_BYTES:] if marked is not None and len(marked) >= WRITER_BYTES else None

    async def publish(self, event: SessionEvent) -> None:
        await self._events.publish(event)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        return self._events.subscribe(listener)

    async def aclose(self) -> None:
        await self._events.aclose()
        await self._nodes.aclose()

    async def _reserve(self, script: scripts.Script, kind: str, name: str, *, seconds: float, cap: int) -> None:
        places = self._key("places", kind)
        if not await self._commands.run_script(script, places, name, _milliseconds(seconds), cap):
            raise TooMany(kind)

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)

    async def _ask_time(self) -> float:
        answer: Any = await self._commands.run(self._key("clock"), "TIME")
        return int(answer[0]) + int(answer[1]) / 1_000_000


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _read_barrier(text: bytes) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return UNREADABLE_BARRIER
