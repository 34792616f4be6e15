from __future__ import annotations

import pytest

from streamlit_kit.paths import is_route_path, join_route_path


@pytest.mark.parametrize(
    ("relative", "joined"),
    [
        ("users/me", "/api/users/me"),
        ("/users/me", "/api/users/me"),
        ("", "/api/"),
        ("items?q=a/../b//c", "/api/items?q=a/../b//c"),
        ("a%20b/%C3%A4", "/api/a%20b/%C3%A4"),
        ("...", "/api/..."),
        ("a..b", "/api/a..b"),
        ("urn:x", "/api/urn:x"),
        ("käse", "/api/käse"),
    ],
)
def test_a_relative_path_is_added_to_the_route(relative: str, joined: str) -> None:
    assert join_route_path("/api/", relative) == joined
    assert join_route_path("/api", relative) == joined


def test_a_path_on_the_root_route_gets_no_second_slash() -> None:
    assert join_route_path("/", "users") == "/users"


@pytest.mark.parametrize(
    "relative",
    [
        "https://evil.example/x",
        "//evil.example/x",
        "/\\evil.example",
        "..",
        "../admin",
        "a/../../admin",
        "a/./b",
        "%2e%2e/admin",
        "%252e%252e/admin",
        "%25252e%25252e/admin",
        "..;x=1/admin",
        "a/..%2fadmin",
        "a%2Fb",
        "a%5cb",
        "a\\b",
        "a//b",
        "a#b",
        "a\r\nX-Evil: 1",
        "a%0d%0aX-Evil:1",
        "a%00",
        "a\x7f",
        "q?x=\n",
    ],
)
def test_a_path_that_leaves_the_route_or_is_ambiguous_is_refused(relative: str) -> None:
    with pytest.raises(ValueError, match="path"):
        join_route_path("/api/", relative)


@pytest.mark.parametrize("path", ["/", "/api", "/api/", "/apps/one/api/", "/a-b_c~/"])
def test_valid_route_prefixes_are_accepted(path: str) -> None:
    assert is_route_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "api/", "//evil.example/", "/a//b/", "/../", "/a/%2e%2e/", "/a\\b/", "/a?b", "/a#b", "/a b/", "/a%2fb/"],
)
def test_invalid_route_prefixes_are_refused(path: str) -> None:
    assert not is_route_path(path)
