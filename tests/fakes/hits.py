"""What the fake provider saw."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from starlette.datastructures import Headers, ImmutableMultiDict


@dataclass(frozen=True, slots=True)
class Hit:
    """One request as it arrived. `query`, `form` and `headers` keep duplicates: ask them with `getlist`."""

    endpoint: str
    method: str
    path: str
    query: ImmutableMultiDict[str, str]
    headers: Headers
    form: ImmutableMultiDict[str, str]
    body: bytes = field(repr=False)
    client_auth: str
    """The client authentication method(s) used, joined with "+"; "" where none is expected."""
    at: float

    def has_duplicates(self) -> bool:
        """True if a parameter occurs twice (forbidden by RFC 6749 section 3.1)."""
        return any(len(part.multi_items()) != len(part) for part in (self.query, self.form))


@dataclass(frozen=True, slots=True)
class Grant:
    """One successful answer of the token endpoint."""

    grant_type: str
    client_id: str
    sub: str
    sid: str
    scope: str
    audience: tuple[str, ...]
    refresh_token: str = field(repr=False)
    """The refresh token presented, not the one handed out."""
    access_token: str = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True)
class Reuse:
    """A refresh token presented for a second time."""

    refresh_token: str = field(repr=False)
    client_id: str
    sub: str
    sid: str
    at: float


class HitLog:
    """Hits, oldest first, safe to read while the server writes; keeps the last 100,000."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hits: deque[Hit] = deque(maxlen=100_000)

    def add(self, hit: Hit) -> None:
        with self._lock:
            self._hits.append(hit)

    def clear(self) -> None:
        with self._lock:
            self._hits.clear()

    def all(self) -> list[Hit]:
        with self._lock:
            return list(self._hits)
