"""How many connections each client address holds in this process, and which addresses are counted at all."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network, IPv6Network, ip_address


class Connections:
    """Open connections per address; proxies that we trust speak for many people and are not counted."""

    def __init__(self, limit: int, *, trusted: tuple[IPv4Network | IPv6Network, ...] = ()) -> None:
        self._limit = limit
        self._trusted = trusted
        self._open: Counter[str] = Counter()

    def open(self, address: str) -> bool:
        """Count one more connection of `address` ("" = a Unix socket, never full); False when it has too many."""
        if not address:
            return True
        self._open[address] += 1
        return self._open[address] <= self._limit or self._is_trusted(address)

    def close(self, address: str) -> None:
        """Undo one `open`, allowed or not."""
        if not address:
            return
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]

    def count(self, address: str) -> int:
        return self._open[address]

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
