"""Where a visitor's requests belong among several upstreams. Pure.

A page's WebSocket, uploads and media must reach one server. Every process finds the same one, only from who the visitor
is (rendezvous hashing). When that one cannot be reached, the page moves, and the browser keeps a mark of where it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

MARK_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Place:
    """`visitor` names a session or a browser. `mark` is what the browser brought, "" if it has none."""

    visitor: str
    mark: str = ""

    def weight(self, upstream: str) -> bytes:
        """Return how strongly the visitor belongs to `upstream`: the highest weight is the first choice."""
        return hashlib.sha256(f"{upstream}|{self.visitor}".encode()).digest()

    def mark_of(self, upstream: str) -> str:
        """Return the mark that says the visitor is at `upstream`. It means nothing for another visitor."""
        return hashlib.sha256(f"mark|{upstream}|{self.visitor}".encode()).hexdigest()[:MARK_DIGITS]

    def is_at(self, upstream: str) -> bool:
        """True if the mark says that the visitor is at `upstream`."""
        return bool(self.mark) and self.mark == self.mark_of(upstream)
