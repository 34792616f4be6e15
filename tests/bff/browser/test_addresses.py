"""Who counts as one client: an IPv4 address, or the /64 that one IPv6 customer has to themselves."""

from __future__ import annotations

import pytest

from bff.browser.addresses import address_group

GROUPS = {
    "192.0.2.1": "192.0.2.1",
    "::ffff:192.0.2.1": "192.0.2.1",
    "::FFFF:c000:201": "192.0.2.1",
    "2001:db8::1": "2001:db8::/64",
    "2001:db8:0:0:ffff:ffff:ffff:ffff": "2001:db8::/64",
    "2001:DB8:0:1::1": "2001:db8:0:1::/64",
    "fe80::1%eth0": "fe80::/64",
    "::ffff:192.0.2.1%x": "192.0.2.1",
    "::1": "::/64",
    "fe80::1%": "fe80::/64",
    "": "",
    "testclient": "testclient",
    "192.0.2.1%eth0": "192.0.2.1",
    "unknown%é": "unknown%é",
}


@pytest.mark.parametrize("text", GROUPS)
def test_an_address_is_counted_under_its_network_group(text: str) -> None:
    assert address_group(text) == GROUPS[text]
