"""Which hosts go through the proxy, and which texts are addresses of one."""

from __future__ import annotations

import pytest

from bff.forward_proxies import ProxyRule, is_no_proxy_entry, is_proxy_url, variables_set

PROXY = "http://forward.example.com:3128"


@pytest.mark.parametrize(
    ("entry", "direct", "proxied"),
    [
        (
            "idp.example.com",
            ["idp.example.com", "IDP.Example.com", "eu.idp.example.com"],
            ["example.com", "xidp.example.com"],
        ),
        (".example.com", ["example.com", "a.b.example.com"], ["badexample.com", "example.com.evil"]),
        ("*.example.com", ["example.com", "a.example.com"], ["badexample.com"]),
        ("idp.example.com:8443", [], ["idp.example.com"]),
        ("idp.example.com:443", ["idp.example.com"], ["other.example.com"]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "ten.example.com"]),
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "localhost"]),
        ("127.0.0.1:443", ["127.0.0.1"], ["127.0.0.2"]),
        ("::1", ["::1"], ["::2"]),
        ("[::1]:443", ["::1"], ["::2"]),
        ("fd00::/8", ["fd12::1"], ["fe80::1"]),
        ("*", ["idp.example.com", "10.0.0.1"], []),
    ],
)
def test_no_proxy_names_hosts_that_are_called_directly(entry: str, direct: list[str], proxied: list[str]) -> None:
    rule = ProxyRule(PROXY, (entry,))
    assert is_no_proxy_entry(entry)
    assert [host for host in direct if rule.is_for(host, 443)] == []
    assert [host for host in proxied if not rule.is_for(host, 443)] == []


def test_without_a_proxy_everything_is_direct() -> None:
    assert not ProxyRule().is_for("idp.example.com", 443)


@pytest.mark.parametrize("text", [PROXY, "https://proxy:443", "http://user:p%40ss@10.0.0.1:3128/", "http://[::1]:3128"])
def test_addresses_of_proxies(text: str) -> None:
    assert is_proxy_url(text)


@pytest.mark.parametrize(
    "text",
    ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy:99999", "http://proxy/x", "http://p\r\nx", "//p"],
)
def test_other_texts_are_no_addresses_of_proxies(text: str) -> None:
    assert not is_proxy_url(text)


@pytest.mark.parametrize("entry", ["", "http://idp", "a b", "idp/x", ".", "10.0.0.0/99", "a..b"])
def test_other_texts_are_no_hosts(entry: str) -> None:
    assert not is_no_proxy_entry(entry)


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(ProxyRule("http://user:secret@proxy"))


def test_variables_that_other_programs_read_are_found_in_any_case() -> None:
    environ = {"https_proxy": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": "", "PATH": "/bin", "all_proxy": "x"}
    assert variables_set(environ) == ["HTTP_PROXY", "all_proxy", "https_proxy"]
