"""Settings that are valid, but of which the operator is warned."""

from __future__ import annotations

from typing import Any

import pytest

from bff.settings.loading import parse_settings
from bff.settings.warnings import find_warnings

SECRET = "unit-test-secret-0123456789-abcdefghijklmnop"


def warned(*networks: str, secret: str = "", upstream: str = "streamlit:app.py") -> list[str]:
    """The keys that are warned of."""
    tables: dict[str, Any] = {
        "server": {
            "public_url": "https://apps.example.com",
            "trusted_proxies": networks,
            "trusted_proxy_secret": secret if networks else "",
        },
        "secrets": {"keys": [SECRET]},
        "providers": {"corp": {"issuer": "https://idp.example.com", "client_id": "x", "client_secret": SECRET}},
        "routes": [{"id": "app", "upstream": upstream}],
    }
    return [warning.key for warning in find_warnings(parse_settings(tables), source="test")]


@pytest.mark.parametrize(
    "network", ["127.0.0.1/32", "127.0.0.0/8", "::1/128", "::/8", "::ffff:127.0.0.1/128", "126.0.0.0/7"]
)
def test_trusting_a_loopback_proxy_gives_a_warning_when_pages_run_on_this_machine(network: str) -> None:
    assert warned(network) == ["server.trusted_proxies"]
    assert warned("10.0.0.0/8", network) == ["server.trusted_proxies"]


def test_there_is_no_warning_where_no_page_can_be_the_proxy() -> None:
    assert warned() == []
    assert warned("10.0.0.0/8", "fd00::/8") == []
    assert warned("127.0.0.1/32", secret=SECRET) == []
    assert warned("127.0.0.1/32", upstream="http://127.0.0.1:9000") == []


def open_routes(issuer: str, **route: Any) -> list[str]:
    """The keys of the warnings of a door before one page, with one provider."""
    provider = {"issuer": issuer, "client_id": "x", "client_secret": "unit-test-secret-0123", "profile": "google"}
    tables = {
        "server": {"public_url": "http://localhost:8000", "environment": "development"},
        "secrets": {"keys": ["unit-test-key-0123456789-abcdefghijklmnop"]},
        "providers": {"public": provider},
        "routes": [{"id": "page", "path": "/", "upstream": "http://127.0.0.1:1", "kind": "page", **route}],
    }
    return [warning.key for warning in find_warnings(parse_settings(tables), source="test")]


@pytest.mark.parametrize("issuer", ["https://accounts.google.com", "https://gitlab.com"])
def test_a_route_without_a_rule_is_warned_of_where_everybody_can_get_an_account(issuer: str) -> None:
    assert open_routes(issuer) == ["routes.page.require"]


@pytest.mark.parametrize(
    ("issuer", "route"),
    [
        ("https://accounts.google.com", {"require": {"claims": {"hd": "example.com"}}}),
        ("https://accounts.google.com", {"auth": "public", "kind": "static"}),
        ("https://gitlab.example.com", {}),
    ],
    ids=["with-a-rule", "public-on-purpose", "own-gitlab"],
)
def test_a_route_is_not_warned_of_where_only_some_get_in(issuer: str, route: dict[str, Any]) -> None:
    assert open_routes(issuer, **route) == []
