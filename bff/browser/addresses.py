"""Who counts as one client where clients are counted by their address. Pure."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

_HOST_BITS = 64
"""An IPv6 customer has at least a /64 to themselves, 2^64 addresses to come from."""


def address_group(text: str) -> str:
    """The IPv4 address, or the /64 of an IPv6 address, as whose `text` counts; what is no address counts as itself.

    Scope ids (`%eth0`) are dropped, `::ffff:192.0.2.1` is 192.0.2.1.
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
