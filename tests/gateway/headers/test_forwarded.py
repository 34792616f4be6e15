"""The client address, scheme and host of a request: only trusted proxies can set them."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.headers.forwarded import ClientEndpoint, build_forwarded_headers, client_address

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("fd00::/8"))


def find(peer: str, *chain: str, proto: str = "", host: str = "", trust_host: bool = True) -> ClientEndpoint:
    headers = [(b"x-forwarded-for", entry.encode()) for entry in chain]
    if proto:
        headers.append((b"x-forwarded-proto", proto.encode()))
    if host:
        headers.append((b"x-forwarded-host", host.encode()))
    return client_address(peer, headers, TRUSTED, scheme="http", host="inner:8000", trust_host=trust_host)


def test_the_headers_of_an_untrusted_peer_are_ignored_and_the_peer_is_the_client() -> None:
    found = find("203.0.113.9", "198.51.100.1", proto="https", host="evil.example")
    assert found == ClientEndpoint("203.0.113.9", "http", "inner:8000")


def test_loopback_is_not_trusted_by_default() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1")]
    assert client_address("127.0.0.1", headers, ()).address == "127.0.0.1"
    assert client_address("127.0.0.1", headers, (ip_network("10.0.0.0/8"),)).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        (["1.1.1.1", "198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        (["198.51.100.1, 10.1.2.3,10.9.9.9"], "198.51.100.1"),
        (["10.1.2.3"], "10.1.2.3"),
        (["198.51.100.1, unknown, 10.1.2.3"], "10.1.2.3"),
        (["garbage"], "10.0.0.1"),
        (["fe80::1%eth0"], "10.0.0.1"),
        (["198.51.100.1, fe80::1%\u00e9, 10.1.2.3"], "10.1.2.3"),
        (["[fe80::1%1]:4711"], "10.0.0.1"),
        ([], "10.0.0.1"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        ([", ".join(["1.2.3.4"] * 100 + ["198.51.100.1"])], "198.51.100.1"),
    ],
)
def test_behind_proxies_the_right_most_untrusted_address_is_the_client(chain: list[str], address: str) -> None:
    assert find("10.0.0.1", *chain).address == address


def test_a_trusted_link_local_peer_with_a_scope_id_is_recognised() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1")]
    assert client_address("fe80::1%eth0", headers, (ip_network("fe80::/10"),)).address == "198.51.100.1"


def test_a_trusted_peer_with_an_ipv4_mapped_address_is_recognised() -> None:
    assert find("::ffff:10.0.0.1", "198.51.100.1").address == "198.51.100.1"


def test_scheme_and_host_come_from_the_nearest_proxy() -> None:
    found = find("10.0.0.1", proto="http, https", host="evil.example, Apps.Example.com:8443")
    assert (found.scheme, found.host, found.is_through_proxy) == ("https", "apps.example.com:8443", True)


@pytest.mark.parametrize(("proto", "host"), [("javascript", "a b"), ("ws", "a/b"), ("", "@evil"), ("x", "a\x00b")])
def test_an_invalid_forwarded_scheme_or_host_is_ignored(proto: str, host: str) -> None:
    found = find("10.0.0.1", proto=proto, host=host)
    assert (found.scheme, found.host) == ("http", "inner:8000")


def test_a_forwarded_host_is_reported_and_used_only_where_the_settings_allow_it() -> None:
    found = find("10.0.0.1", host="Apps.Example.com", trust_host=False)
    assert (found.host, found.forwarded_host) == ("inner:8000", "apps.example.com")
    found = find("203.0.113.9", host="apps.example.com")
    assert (found.host, found.forwarded_host) == ("inner:8000", "")


def test_a_unix_socket_has_no_address_and_no_trust() -> None:
    assert find("", "198.51.100.1").address == ""


def test_upstreams_get_one_address_scheme_host_prefix_and_request_id() -> None:
    client = ClientEndpoint("198.51.100.1", "https", "apps.example.com", is_through_proxy=True)
    assert dict(build_forwarded_headers(client, prefix="/api/", request_id="abcdefgh")) == {
        b"x-forwarded-for": b"198.51.100.1",
        b"x-forwarded-proto": b"https",
        b"x-forwarded-host": b"apps.example.com",
        b"x-forwarded-prefix": b"/api",
        b"x-request-id": b"abcdefgh",
    }


def test_unknown_values_are_not_sent() -> None:
    assert build_forwarded_headers(ClientEndpoint("", "http", ""), prefix="/") == [(b"x-forwarded-proto", b"http")]
