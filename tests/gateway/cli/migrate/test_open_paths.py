"""Which paths a moved configuration opens: those of plain patterns that have a place of their own, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.migrate.assembling import build_tables
from gateway.cli.migrate.options import Safer
from tests.gateway.cli.migrate.old_configurations import line_of, translated

TWO = ["http://127.0.0.1:8080/", "http://127.0.0.1:9000/api/"]


def opened(folder: Path, patterns: list[str], **options: Any) -> dict[str, tuple[bool, tuple[str, ...], str]]:
    """Path of each open route → whether it is exact, its methods, its server."""
    draft = translated(folder, skip_auth_routes=patterns, **options).draft
    routes = build_tables(draft)["routes"]
    assert all("require" not in route for route in routes if route.get("auth"))
    return {
        route["path"]: (route.get("exact", False), tuple(route.get("methods", ())), route["upstream"])
        for route in routes
        if route.get("auth")
    }


@pytest.mark.parametrize("pattern", ["^/", "^/.*", ".*", "/", "^/$", "^", "", "GET=^/", "!=^/private", "GET!=^/x"])
def test_a_pattern_for_the_whole_site_opens_nothing_and_says_so(pattern: str, tmp_path: Path) -> None:
    assert opened(tmp_path, [pattern] if pattern else ["", ".*"]) == {}
    outcome = line_of(translated(tmp_path, skip_auth_routes=[pattern or ".*"]), "skip_auth_routes").outcome
    assert isinstance(outcome, Safer)
    assert outcome.is_open


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["^/a$"], {"/a": (True, (), TWO[0][:-1])}),
        (["^/api/hook$"], {"/api/hook": (True, (), TWO[1][:-5])}),
        (["^/api/"], {"/api/": (False, (), TWO[1][:-5])}),
        (["^/api/$"], {}),
        (["GET=^/api/"], {}),
        (["GET=^/a$", "POST=^/a$"], {"/a": (True, ("GET", "POST"), TWO[0][:-1])}),
        (["GET=^/a$", "^/a$"], {"/a": (True, (), TWO[0][:-1])}),
        (["^/a$", "^/a/"], {"/a/": (False, (), TWO[0][:-1])}),
        (["GET=^/a$", "^/a/"], {"/a": (True, ("GET",), TWO[0][:-1])}),
        (["^/a/$", "^/a$"], {"/a/": (True, (), TWO[0][:-1])}),
    ],
    ids=[
        "one path",
        "below another server",
        "a whole server",
        "the address of a server alone",
        "a method of a whole server",
        "two methods",
        "a method and all",
        "a path and what is below",
        "a method of a path, and what is below",
        "two spellings of one place",
    ],
)
def test_each_place_has_one_open_route(patterns: list[str], expected: dict[str, object], tmp_path: Path) -> None:
    assert opened(tmp_path, patterns, upstreams=TWO) == expected


def test_without_a_server_behind_it_nothing_is_open(tmp_path: Path) -> None:
    assert opened(tmp_path, ["^/a$"], upstreams=["http://127.0.0.1:9000/api/"]) == {}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"redis_connection_url": "redis://h"}, "redis://h:6379/0"),
        ({"redis_connection_url": "h:6380"}, "redis://h:6380/0"),
        ({"redis_connection_url": "rediss://u:p%40@h:1/4"}, "rediss://u:p%40@h:1/4"),
        ({"redis_connection_url": "redis://u:p@h", "redis_password": "q@/"}, "redis://u:q%40%2F@h:6379/0"),
        ({"redis_connection_url": "redis://u:p@h", "redis_username": "v"}, "redis://v:p@h:6379/0"),
        ({"redis_connection_url": "redis://[::1]:7"}, "redis://[::1]:7/0"),
        (
            {
                "redis_use_sentinel": True,
                "redis_sentinel_master_name": "main",
                "redis_sentinel_connection_urls": ["rediss://a", "rediss://b:5"],
                "redis_sentinel_password": "s/",
            },
            "redis+sentinel://a:26379,b:5/main/0?tls=true&sentinel_password=s/",
        ),
        (
            {"redis_use_cluster": True, "redis_cluster_connection_urls": ["redis://u:p@a", "redis://b"]},
            "redis+cluster://u:p@a:6379,b:6379",
        ),
        ({"redis_connection_url": "redis://h", "redis_ca_path": "/ca.pem"}, "redis://h:6379/0?ca_file=/ca.pem"),
    ],
    ids=["host", "no scheme", "TLS", "password beside", "user beside", "IPv6", "sentinels", "cluster", "authority"],
)
def test_the_options_of_redis_become_one_address(options: dict[str, Any], url: str, tmp_path: Path) -> None:
    draft = translated(tmp_path, session_store_type="redis", **options).draft
    assert draft.secrets["store-url"] == url
