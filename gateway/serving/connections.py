"""Count the connections of each client address in this process."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from bff.browser.addresses import address_group


class Connections:
    """Open connections per client (`address_group`). Trusted proxies carry many people's requests and are not counted.

    A proxy is trusted by its own address. Its neighbours in the same IPv6 network are counted as usual. With
    `asks_for_secret` a connection from a proxy's address counts from its first request without the secret, because
    other programs may have that address too. Such a connection is opened and closed with `is_stranger`.
    """

    def __init__(
        self,
        limit: int,
        *,
        trusted: tuple[IPv4Network | IPv6Network, ...] = (),
        asks_for_secret: bool = False,
    ) -> None:
        self._limit = limit
        self._trusted = trusted
        self._asks_for_secret = asks_for_secret
        self._open: Counter[str] = Counter()

    def open(self, address: str, *, is_stranger: bool = False) -> bool:
        """Count one more connection of `address`; False when it has too many. "" is a Unix socket and never full."""
        if not self._is_counted(address, is_stranger=is_stranger):
            return True
        group = address_group(address)
        self._open[group] += 1
        return self._open[group] <= self._limit

    def is_flooded(self, address: str) -> bool:
        """True when so many are open that even a refusal is too much, since it stays open for a moment."""
        return bool(address) and not self._is_trusted(address) and self.count(address) > 2 * self._limit

    def close(self, address: str, *, is_stranger: bool = False) -> None:
        """Undo one `open`, whether it was allowed or not."""
        if not self._is_counted(address, is_stranger=is_stranger):
            return
        group = address_group(address)
        self._open[group] -= 1
        if self._open[group] <= 0:
            del self._open[group]

    def count(self, address: str) -> int:
        return self._open[address_group(address)]

    def has_to_show_secret(self, address: str) -> bool:
        """True for the address of a proxy, when being there is not enough to be the proxy."""
        return self._asks_for_secret and bool(address) and self._is_trusted(address)

    def _is_counted(self, address: str, *, is_stranger: bool) -> bool:
        return bool(address) and (is_stranger or not self._is_trusted(address))

    def _is_trusted(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        return any(parsed in network for network in self._trusted)
