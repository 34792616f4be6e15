"""A pattern becomes open paths only if it is plain, and never opens a path that it does not match."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bff.settings.tables import RouteSettings
from gateway.access.routes import RouteTable
from gateway.cli.migrate.patterns import MOST_PATHS, PlainPath, read_pattern


def exact(*paths: str) -> tuple[PlainPath, ...]:
    return tuple(PlainPath(path, True) for path in paths)


def below(*paths: str) -> tuple[PlainPath, ...]:
    return tuple(PlainPath(path, False) for path in paths)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^/health$", exact("/health")),
        ("^/api/v1/ping$", exact("/api/v1/ping")),
        (r"^/robots\.txt$", exact("/robots.txt")),
        ("^/favicon.ico$", exact("/favicon.ico")),
        ("^/static/", below("/static/")),
        ("^/static", below("/static")),
        ("^/static/.*", below("/static/")),
        ("^/static/.*$", below("/static/")),
        ("^/static/(.*)$", below("/static/")),
        ("^/static.*", below("/static")),
        ("^/(assets|static)/", below("/assets/", "/static/")),
        ("^/(?:assets|static)/.*", below("/assets/", "/static/")),
        ("^/health(/live|/ready)?$", exact("/health", "/health/live", "/health/ready")),
        ("^/health/?$", exact("/health", "/health/")),
        ("^/a?b$", exact("/b", "/ab")),
        ("^/", below("/")),
    ],
)
def test_a_plain_pattern_is_read_as_paths(pattern: str, expected: tuple[PlainPath, ...]) -> None:
    assert read_pattern(pattern) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        "/health",
        "health",
        "/health$",
        ".*",
        "",
        "^",
        "^/.*",
        "^/a.*b$",
        "^/a.{2}b$",
        "^/a+$",
        "^/a*",
        "^/[ab]$",
        r"^/\d+$",
        r"^/\w+/public",
        "^/a{2}$",
        "^/a|/b",
        "^/(a|b",
        "^/(a(b|c))$",
        "^/(?!private).*",
        "^/(?i)a$",
        "^/a$|^/b$",
        "^/a//b",
        "^/a/../b",
        "^/./a",
        "^/static/.+",
        "^/a/.*/b$",
        "^/é$",
        "^/a b$",
        "^/a%20b$",
        r"^/a\$",
        "^/a\\",
        "^/" + "(a|b)" * 6 + "$",
    ],
)
def test_a_pattern_that_is_not_plain_opens_nothing(pattern: str) -> None:
    assert read_pattern(pattern) == ()


def test_a_pattern_with_very_many_paths_opens_nothing() -> None:
    assert len(read_pattern("^/" + "(a|b)" * 4 + "$")) == 16 <= MOST_PATHS
    assert read_pattern("^/" + "(a|b)" * 5 + "$") == ()


PIECES = [
    "a",
    "b",
    "/",
    "/x",
    "(a|b)",
    "(?:/a|b)?",
    "?",
    ".*",
    ".",
    "+",
    "*",
    "[ab]",
    r"\.",
    r"\d",
    "$",
    "|",
    "^",
    "(",
    ")",
]
PATHS = st.text(alphabet="ab/x.1", min_size=0, max_size=6).map(lambda text: "/" + text)


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=7), path=PATHS)
@settings(max_examples=1500, deadline=None)
def test_no_path_is_open_that_the_pattern_does_not_match(pieces: list[str], path: str) -> None:
    pattern = "^/" + "".join(pieces)
    opened = [one for one in read_pattern(pattern) if one.path != "/"]
    routes = [RouteSettings(id=f"r{number}", path=one.path, exact=one.is_exact) for number, one in enumerate(opened)]
    if any(RouteTable([route]).match("", path) is not None for route in routes):
        # `/x/` and `/x` are one place in a route table: the folder's own name without its slash is the one exception.
        assert re.search(pattern, path) or re.search(pattern, path + "/")
