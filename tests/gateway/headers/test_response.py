"""What of an upstream's headers reaches a browser."""

from __future__ import annotations

import pytest

from bff.errors import UpstreamFailed
from gateway.headers.response import ResponseHygiene
from gateway.targets import parse_target

PLAIN = ResponseHygiene(add_security_headers=False)


def relocate(location: str, *, target: str = "http://127.0.0.1:9001", prefix: str = "", path: str = "/x") -> str:
    hygiene = ResponseHygiene(target=parse_target(target), prefix=prefix, add_security_headers=False)
    cleaned = hygiene.clean([(b"location", location.encode())], host="apps.example.com", forwarded_path=path)
    return dict(cleaned)[b"location"].decode()


@pytest.mark.parametrize(
    "name",
    [
        b"x-accel-redirect",
        b"X-Accel-Buffering",
        b"x-sendfile",
        b"x-auth-request-user",
        b"x-vestibule-session",
        b"clear-site-data",
        b"service-worker-allowed",
        b"alt-svc",
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"upgrade",
        b"trailer",
        b"proxy-authenticate",
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"x-request-id",
    ],
)
def test_headers_that_would_steer_the_browser_or_a_front_proxy_are_dropped(name: bytes) -> None:
    assert PLAIN.clean([(name, b"x"), (b"etag", b'"1"')]) == [(b"etag", b'"1"')]


def test_nominated_headers_are_dropped_here_too() -> None:
    assert PLAIN.clean([(b"connection", b"X-Secret-Hop"), (b"x-secret-hop", b"1")]) == []


def test_cors_headers_pass_where_the_route_allows_them() -> None:
    given = [(b"access-control-allow-origin", b"https://a.example")]
    assert ResponseHygiene(allow_cors=True, add_security_headers=False).clean(given) == given


def test_cookies_pass_but_for_ours_and_for_whole_domains() -> None:
    given = [
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"__Host-vestibule=stolen; Path=/; Secure"),
        (b"set-cookie", b"b=2; Domain=example.com"),
        (b"set-cookie", b"vestibule-tx-1=x"),
        (b"set-cookie", b"c=3; Domain=apps.example.com; Secure"),
        (b"set-cookie", b"d=4"),
    ]
    kept = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"c=3; Secure"), (b"set-cookie", b"d=4")]
    assert PLAIN.clean(given, host="apps.example.com:8443") == kept
    assert PLAIN.clean_handshake(given, host="apps.example.com") == kept


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"1\r\nSet-Cookie: a=1"),
        (b"x-a", b"1\n2"),
        (b"x-a", b"1\0"),
        (b"x a", b"1"),
        (b"", b"1"),
        (b"x\n", b"1"),
    ],
)
def test_what_is_no_header_is_a_failure_of_the_upstream(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        PLAIN.clean([header])
    assert (caught.value.code, caught.value.status) == ("upstream_protocol", 502)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://127.0.0.1:9001/y?z=1#f", "/y?z=1#f"),
        ("http://localhost:9001/y", "/y"),
        ("https://127.0.0.1:9001/y", "/y"),
        ("http://127.0.0.1:9001", "/"),
        ("http://127.0.0.1:9001//evil.example/x", "/evil.example/x"),
        ("http://apps.example.com/y", "/y"),
        ("http://127.0.0.1:9002/y", "http://127.0.0.1:9002/y"),
        ("https://idp.example.com/authorize?x=1", "https://idp.example.com/authorize?x=1"),
        ("//cdn.example.com/x", "//cdn.example.com/x"),
        ("/y?z", "/y?z"),
        ("y/z", "y/z"),
        ("?page=2", "?page=2"),
        ("///evil.example", "/evil.example"),
    ],
)
def test_a_location_inside_becomes_a_path(location: str, expected: str) -> None:
    assert relocate(location) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://127.0.0.1:9001/users/", "/api/users/"),
        ("http://apps.example.com/users/", "/api/users/"),
        ("/users/", "/api/users/"),
        ("/api/users/", "/api/users/"),
        ("http://127.0.0.1:9001/api/users/", "/api/users/"),
        ("/auth/login", "/auth/login"),
        ("http://apps.example.com/dashboards", "/dashboards"),
    ],
)
def test_a_stripped_prefix_comes_back_where_the_upstream_spoke_of_its_own_paths(location: str, expected: str) -> None:
    assert relocate(location, prefix="/api/", path="/users") == expected


def test_the_upstreams_own_base_path_is_taken_off() -> None:
    assert relocate("/base/x/", target="http://127.0.0.1:9001/base", prefix="/api", path="/x") == "/api/x/"
    assert relocate("http://127.0.0.1:9001/base", target="http://127.0.0.1:9001/base") == "/"


@pytest.mark.parametrize("location", ["http://[::1/x", "/a b", "/a\\b", "http://127.0.0.1:port/"])
def test_a_location_that_cannot_be_read_is_a_failure_of_the_upstream(location: str) -> None:
    with pytest.raises(UpstreamFailed):
        relocate(location)


def test_security_headers_are_added_where_the_upstream_has_none() -> None:
    added = dict(ResponseHygiene(is_page=True).clean([]))
    assert added == {
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"strict-origin-when-cross-origin",
        b"content-security-policy": b"frame-ancestors 'self'",
        b"x-frame-options": b"SAMEORIGIN",
    }
    assert b"x-frame-options" not in dict(ResponseHygiene().clean([]))


def test_the_upstreams_own_security_headers_stay() -> None:
    given = [(b"content-security-policy", b"default-src 'self'"), (b"referrer-policy", b"no-referrer")]
    cleaned = ResponseHygiene(is_page=True).clean(given)
    assert cleaned == [*given, (b"x-content-type-options", b"nosniff")]
