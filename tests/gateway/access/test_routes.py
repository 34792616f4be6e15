"""The route table: longest prefix on a segment boundary, hosts, methods."""

from __future__ import annotations

import pytest

from bff.settings.tables import RouteSettings
from gateway.access.routes import RouteTable, is_method_allowed


def make_route(
    route_id: str, path: str, *, host: str = "", methods: tuple[str, ...] = (), exact: bool = False
) -> RouteSettings:
    return RouteSettings(id=route_id, path=path, host=host, methods=methods, exact=exact)


TABLE = RouteTable(
    [
        make_route("pages", "/"),
        make_route("api", "/api/"),
        make_route("deep", "/api/v2/models"),
        make_route("admin-host", "/", host="admin.example.com"),
        make_route("api-host", "/api", host="admin.example.com:8443"),
    ]
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "pages"),
        ("/anything/else", "pages"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/users", "api"),
        ("/apiary", "pages"),
        ("/api/v2", "api"),
        ("/api/v2/modelsX", "api"),
        ("/api/v2/models", "deep"),
        ("/api/v2/models/7/runs", "deep"),
        ("/API/users", "pages"),
    ],
)
def test_the_longest_prefix_on_a_segment_boundary_wins(path: str, expected: str) -> None:
    route = TABLE.match("apps.example.com", path)
    assert route is not None
    assert route.id == expected


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("admin.example.com", "/x", "admin-host"),
        ("ADMIN.example.com:443", "/x", "admin-host"),
        ("admin.example.com:8443", "/api/x", "api-host"),
        ("admin.example.com:444", "/api/x", "api"),
        ("other.example.com", "/x", "pages"),
        ("", "/x", "pages"),
    ],
)
def test_a_route_for_this_host_wins_over_a_route_for_every_host(host: str, path: str, expected: str) -> None:
    route = TABLE.match(host, path)
    assert route is not None
    assert route.id == expected


def test_without_routes_nothing_matches() -> None:
    table = RouteTable([make_route("api", "/api")])
    assert table.match("apps.example.com", "/") is None
    assert table.match("apps.example.com", "/other") is None
    assert RouteTable([]).match("apps.example.com", "/") is None


def test_a_route_that_is_only_for_another_host_does_not_match() -> None:
    table = RouteTable([make_route("admin", "/", host="admin.example.com")])
    assert table.match("apps.example.com", "/") is None


def test_the_first_of_two_equal_routes_wins() -> None:
    table = RouteTable([make_route("one", "/a"), make_route("two", "/a/")])
    found = table.match("", "/a/x")
    assert found is not None
    assert found.id == "one"


EXACT = RouteTable(
    [
        make_route("site", "/"),
        make_route("probe", "/health", exact=True),
        make_route("hook", "/hooks/", exact=True),
        make_route("open-here", "/admin", host="open.example.com", exact=True),
        make_route("admin", "/admin"),
    ]
)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("", "/health", "probe"),
        ("", "/health/", "site"),
        ("", "/health/x", "site"),
        ("", "/healthy", "site"),
        ("", "/hooks/", "hook"),
        ("", "/hooks", "site"),
        ("", "/hooks/x", "site"),
        ("open.example.com", "/admin", "open-here"),
        ("open.example.com:443", "/admin", "open-here"),
        ("open.example.com", "/admin/", "admin"),
        ("open.example.com", "/admin/users", "admin"),
        ("other.example.com", "/admin", "admin"),
    ],
)
def test_an_exact_route_serves_its_own_path_and_leaves_all_others_to_the_next_route(
    host: str, path: str, expected: str
) -> None:
    route = EXACT.match(host, path)
    assert route is not None
    assert route.id == expected


def test_without_another_route_nothing_is_below_an_exact_one() -> None:
    assert RouteTable([make_route("probe", "/health", exact=True)]).match("", "/health/x") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_without_a_list_of_methods_ordinary_methods_are_allowed(method: str) -> None:
    assert is_method_allowed(make_route("a", "/"), method)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "TRACK"])
def test_trace_track_and_connect_are_never_allowed(method: str) -> None:
    assert not is_method_allowed(make_route("a", "/"), method)
    assert not is_method_allowed(make_route("a", "/", methods=(method,)), method)


def test_only_listed_methods_are_allowed_and_head_with_get() -> None:
    route = make_route("a", "/", methods=("get", "POST"))
    assert [method for method in ("GET", "HEAD", "POST", "PUT", "DELETE") if is_method_allowed(route, method)] == [
        "GET",
        "HEAD",
        "POST",
    ]
    assert not is_method_allowed(make_route("b", "/", methods=("POST",)), "HEAD")


def test_routes_are_listed_in_the_order_in_which_they_are_tried() -> None:
    assert [route.id for route in TABLE.in_order()] == ["deep", "api-host", "api", "admin-host", "pages"]


def test_the_first_listed_route_whose_prefix_and_host_fit_is_the_one_that_matches() -> None:
    for host in ("admin.example.com", "admin.example.com:8443", "other.example.com"):
        for path in ("/", "/api/x", "/api/v2/models/7"):
            alone = (route for route in TABLE.in_order() if RouteTable([route]).match(host, path) is not None)
            assert next(alone, None) == TABLE.match(host, path), (host, path)
