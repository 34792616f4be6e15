"""Where a request came from. Only configured proxies are believed, and upstreams get new forwarded headers. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from bff import contract
from gateway.headers.request import RawHeaders

Networks = tuple[IPv4Network | IPv6Network, ...]
Address = IPv4Address | IPv6Address

_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?\Z")
_MOST_HOPS: Final = 100
_PROOF: Final = contract.HEADER_PROXY.lower().encode("ascii")


@dataclass(frozen=True, slots=True)
class ClientEndpoint:
    """What is known of the client: `address` for logs and limits, and the `scheme` and `host` that it used.

    `is_through_proxy` is True when the peer is a trusted proxy, whose forwarded headers were read. `is_unproven_proxy`
    is True when they were not read, because the peer has a proxy's address but not the proxy's secret. `forwarded_host`
    is the `X-Forwarded-Host` of a trusted proxy, whether it was believed or not; "" if there is none.
    """

    address: str
    scheme: str
    host: str
    is_through_proxy: bool = False
    is_unproven_proxy: bool = False
    forwarded_host: str = ""


def client_address(
    peer: str,
    headers: Sequence[tuple[bytes, bytes]],
    trusted_proxies: Networks,
    *,
    proxy_secret: str = "",
    scheme: str = "http",
    host: str = "",
    trust_host: bool = False,
) -> ClientEndpoint:
    """Find the right-most address of `X-Forwarded-For` that is not a trusted proxy's; otherwise the peer's own address.

    The scheme comes from the right-most `X-Forwarded-Proto`, and only from a trusted peer. With `trust_host` the host
    does too. Without `trust_host` the Host header decides: many proxies pass on a client's `X-Forwarded-Host`, and a
    script can set that header. `scheme` and `host` are those of the connection and the Host header. `peer` is "" on a
    Unix socket. With `proxy_secret` an address is not enough: the peer must send the secret in `X-Vestibule-Proxy`.
    """
    if not trusted_proxies or not _is_trusted(peer, trusted_proxies):
        return ClientEndpoint(peer, scheme, host)
    if proxy_secret and not shows_secret(headers, proxy_secret):
        return ClientEndpoint(peer, scheme, host, is_unproven_proxy=_speaks_as_a_proxy(headers))
    hops = _listed(headers, b"x-forwarded-for")[-_MOST_HOPS:]
    proto = (_listed(headers, b"x-forwarded-proto") or [""])[-1].lower()
    named = (_listed(headers, b"x-forwarded-host") or [""])[-1].lower()
    forwarded_host = named if _HOST.match(named) else ""
    return ClientEndpoint(
        address=_rightmost_untrusted(peer, hops, trusted_proxies),
        scheme=proto if proto in {"http", "https"} else scheme,
        host=(trust_host and forwarded_host) or host,
        is_through_proxy=True,
        forwarded_host=forwarded_host,
    )


def build_forwarded_headers(client: ClientEndpoint, *, prefix: str = "", request_id: str = "") -> RawHeaders:
    """Build `X-Forwarded-For/-Proto/-Host/-Prefix` and `X-Request-ID` for an upstream, only from known facts.

    There is one address, not a chain, so that nobody can mislead upstreams that count hops. `prefix` is the stripped
    prefix, if any.
    """
    headers = [(b"x-forwarded-proto", client.scheme.encode("ascii"))]
    if client.address:
        headers.append((b"x-forwarded-for", client.address.encode("ascii")))
    if client.host:
        headers.append((b"x-forwarded-host", client.host.encode("latin-1")))
    if prefix.strip("/"):
        headers.append((b"x-forwarded-prefix", b"/" + prefix.strip("/").encode("ascii")))
    if request_id:
        headers.append((b"x-request-id", request_id.encode("ascii")))
    return headers


@lru_cache(maxsize=4096)
def _is_trusted(peer: str, trusted_proxies: Networks) -> bool:
    address = _parse(peer.partition("%")[0])  # the system itself names the interface
    return address is not None and any(address in network for network in trusted_proxies)


def shows_secret(headers: Iterable[tuple[bytes, bytes]], secret: str) -> bool:
    """True if the header is there once and holds the secret. The comparison takes constant time."""
    given = [value for name, value in headers if name == _PROOF]
    return len(given) == 1 and hmac.compare_digest(given[0], secret.encode("ascii"))


def _speaks_as_a_proxy(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == _PROOF or name.startswith(b"x-forwarded-") for name, _ in headers)


def _rightmost_untrusted(peer: str, hops: Iterable[str], trusted_proxies: Networks) -> str:
    """Read the chain from the right. An entry that is not an address ends the search at the hop before it."""
    nearest = peer
    for hop in reversed(list(hops)):
        address = _parse(hop)
        if address is None:
            return nearest
        nearest = str(address)
        if not any(address in network for network in trusted_proxies):
            return nearest
    return nearest


def _listed(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[str]:
    values = (value.decode("latin-1") for candidate, value in headers if candidate == name)
    return [entry.strip() for value in values for entry in value.split(",") if entry.strip()]


def _parse(text: str) -> Address | None:
    """Read an address with or without brackets and port; IPv4 inside IPv6 is IPv4.

    With a scope id (`%eth0`) the result is None: it has a meaning only on the sender's machine, and may hold any text.
    """
    if "%" in text:
        return None
    bare = text.strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
