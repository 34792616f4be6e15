"""Public URLs come only from the configuration."""

from __future__ import annotations

import pytest

from bff.settings.public_urls import PublicUrls, all_origins, canonical_origin, origins_by_host, urls_of_route
from tests.bff.factories import settings


def test_the_urls_to_register_are_below_the_public_url_and_the_auth_path() -> None:
    urls = PublicUrls("https://Apps.example.com:8443/base", "/sso")
    assert (urls.origin, urls.host) == ("https://apps.example.com:8443", "apps.example.com:8443")
    assert (urls.base_path, urls.auth) == ("/base", "https://Apps.example.com:8443/base/sso")
    assert urls.callback("corp") == urls.auth + "/callback/corp"
    assert urls.post_logout == urls.auth + "/logged-out"
    assert urls.backchannel_logout("corp") == urls.auth + "/backchannel-logout/corp"
    assert urls.frontchannel_logout("corp") == urls.auth + "/frontchannel-logout/corp"
    assert urls.initiate("corp") == urls.auth + "/initiate/corp"
    assert urls.jwks == urls.auth + "/jwks.json"


def test_one_redirect_uri_for_every_provider_lies_below_the_public_url() -> None:
    server = settings(server={"public_url": "https://a.example/base", "origins": ["https://b.example"]}).server
    found = all_origins(server, callback_path="/oauth2/callback").values()
    assert [urls.callback("corp") for urls in found] == [
        "https://a.example/base/oauth2/callback",
        "https://b.example/base/oauth2/callback",
    ]


@pytest.mark.parametrize(("base", "expected"), [("https://a.example", True), ("http://localhost:8000", False)])
def test_only_an_https_url_is_secure(base: str, expected: bool) -> None:
    assert PublicUrls(base).is_secure is expected


def test_every_origin_has_its_host_and_the_path_of_the_public_url() -> None:
    server = settings(
        server={"public_url": "https://a.example/base/", "origins": ["https://B.example", "https://c.example:8443/"]}
    ).server
    origins = all_origins(server)
    assert list(origins) == ["a.example", "b.example", "c.example:8443"]
    assert origins["a.example"].base == "https://a.example/base"
    assert origins["b.example"].callback("corp") == "https://B.example/base/auth/callback/corp"
    assert origins["c.example:8443"].base == "https://c.example:8443/base"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("", "https://a.example"),
        ("B.example", "https://b.example"),
        ("c.example", "https://c.example:8443"),
        ("c.example:8443", "https://c.example:8443"),
    ],
)
def test_a_route_is_served_at_the_origin_of_its_host(host: str, origin: str) -> None:
    server = settings(
        server={"public_url": "https://a.example", "origins": ["https://b.example", "https://c.example:8443"]}
    ).server
    urls = urls_of_route(server, host)
    assert (urls.origin, urls.has(host), urls.has("elsewhere.example")) == (origin, True, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://name:80", "http://name"),
        ("https://Name:443", "https://name"),
        ("https://[::1]:443", "https://[::1]"),
        ("http://name:443", "http://name:443"),
        ("https://name:80", "https://name:80"),
        ("https://name:4430", "https://name:4430"),
        ("https://name:8443", "https://name:8443"),
        ("null", "null"),
        ("", ""),
    ],
)
def test_the_default_port_of_a_scheme_makes_no_difference_to_an_origin(given: str, expected: str) -> None:
    assert canonical_origin(given) == expected


@pytest.mark.parametrize(
    ("public_url", "hosts"),
    [
        ("https://a.example", ["a.example", "a.example:443"]),
        ("https://a.example:8443", ["a.example:8443"]),
        ("https://a.example:80", ["a.example:80"]),
    ],
)
def test_every_host_header_that_names_an_origin_finds_it(public_url: str, hosts: list[str]) -> None:
    server = settings(server={"public_url": public_url}).server
    assert sorted(origins_by_host(server)) == hosts


def test_a_public_url_with_the_default_port_has_the_origin_that_browsers_send() -> None:
    urls = PublicUrls("https://a.example:443/base")
    assert (urls.origin, urls.host, urls.base_path) == ("https://a.example", "a.example", "/base")
