"""Which calls go through a forward proxy, and which go directly. Pure.

Only the settings decide. The proxy variables of the environment are ignored; `vestibule doctor` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""What other programs read, in capitals or not."""


@dataclass(frozen=True, slots=True)
class ProxyRule:
    """`url` is the proxy, "" for none; it may hold a password. Hosts of `no_proxy` are called directly."""

    url: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()

    def is_for(self, host: str, port: int) -> bool:
        """True if calls to `host` go through the proxy."""
        return bool(self.url) and not any(_covers(entry, host.lower(), port) for entry in self.no_proxy)


def is_proxy_url(text: str) -> bool:
    """True for `http://` or `https://`, a host, and nothing after it."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    has_rest = url.path not in ("", "/") or url.query or url.fragment
    return url.scheme in ("http", "https") and bool(url.hostname) and port != 0 and not has_rest and text.isprintable()


def is_no_proxy_entry(entry: str) -> bool:
    """True for a host, a domain, an address or a network, with or without a port; and for `*`."""
    if entry == "*" or _network(entry) is not None:
        return True
    name, _ = _split_port(entry)
    if _network(name) is not None:
        return True
    return bool(name) and all(part and part.replace("-", "a").isalnum() for part in _bare(name).split("."))


def variables_set(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the proxy variables that are set, as they are written."""
    return sorted(name for name, value in environ.items() if name.upper() in VARIABLES and value)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, only_port = ("", "") if _network(entry) is not None else _split_port(entry)
    if only_port and only_port != str(port):
        return False
    network = _network(name or entry)
    if network is None:
        domain = _bare(name).lower()
        return host == domain or host.endswith(f".{domain}")
    try:
        return ip_address(host) in network
    except ValueError:
        return False


def _bare(name: str) -> str:
    return name.removeprefix("*").removeprefix(".")


def _split_port(entry: str) -> tuple[str, str]:
    """Split `host:port` and `[address]:port`; the port is "" if there is none."""
    name, colon, port = entry.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return name.strip("[]"), port
    return entry.strip("[]"), ""


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None
