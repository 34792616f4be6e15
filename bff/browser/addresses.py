"""Decide which addresses count as one client. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

_HOST_BITS = 64
"""One IPv6 customer has at least a whole /64, which is 2^64 addresses."""


def address_group(text: str) -> str:
    """Return the client that the address `text` counts as: the IPv4 address, or the /64 of the IPv6 address.

    Scope ids (`%eth0`) are dropped; `::ffff:192.0.2.1` becomes 192.0.2.1. Other text is returned as it is.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> _HOST_BITS << _HOST_BITS, 128 - _HOST_BITS)))
