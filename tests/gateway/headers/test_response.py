"""Which headers of an upstream reach a browser."""

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
def test_headers_that_control_the_browser_or_a_proxy_in_front_are_dropped(name: bytes) -> None:
    assert PLAIN.clean([(name, b"x"), (b"etag", b'"1"')]) == [(b"etag", b'"1"')]


def test_headers_named_in_connection_are_dropped_from_responses() -> None:
    assert PLAIN.clean([(b"connection", b"X-Secret-Hop"), (b"x-secret-hop", b"1")]) == []


def test_cors_headers_are_passed_on_where_the_route_allows_them() -> None:
    given = [(b"access-control-allow-origin", b"https://a.example")]
    assert ResponseHygiene(allow_cors=True, add_security_headers=False).clean(given) == given


def test_cookies_are_passed_on_except_ours_and_those_with_a_domain() -> None:
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
def test_an_invalid_response_header_is_an_upstream_error(header: tuple[bytes, bytes]) -> None:
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
def test_a_location_on_the_upstream_becomes_a_path(location: str, expected: str) -> None:
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
def test_a_removed_prefix_is_added_again_to_locations_of_the_upstream(location: str, expected: str) -> None:
    assert relocate(location, prefix="/api/", path="/users") == expected


def test_the_base_path_of_the_upstream_is_removed_from_locations() -> None:
    assert relocate("/base/x/", target="http://127.0.0.1:9001/base", prefix="/api", path="/x") == "/api/x/"
    assert relocate("http://127.0.0.1:9001/base", target="http://127.0.0.1:9001/base") == "/"


@pytest.mark.parametrize("name", [b"location", b"content-location", b"link", b"refresh"])
@pytest.mark.parametrize("url", [b"http://[::1/x", b"http://127.0.0.1:port/", b"http://127.0.0.1:99999/"])
def test_a_url_that_no_browser_can_read_is_dropped_and_logged(name: bytes, url: bytes) -> None:
    dropped: list[bytes] = []
    hygiene = ResponseHygiene(
        target=parse_target("http://127.0.0.1:9001"), add_security_headers=False, note_dropped=dropped.append
    )
    value = {b"link": b"<%s>; rel=next", b"refresh": b"0; url=%s"}.get(name, b"%s") % url
    assert hygiene.clean([(name, value), (b"x-kept", b"1")]) == [(b"x-kept", b"1")]
    assert dropped == [name]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"/files/my report.pdf", b"/files/my%20report.pdf"),
        ("/files/résumé.pdf?q=ü#é".encode(), b"/files/r%C3%A9sum%C3%A9.pdf?q=%C3%BC#%C3%A9"),
        (b"/latin/r\xe9sum\xe9", b"/latin/r%E9sum%E9"),
        (b" /edges\t", b"/edges"),
        (b"/a\\b?c\\d", b"/a/b?c\\d"),
        (b'/quote"<>', b"/quote%22%3C%3E"),
        (b"/already%20encoded%zz", b"/already%20encoded%zz"),
        ("https://partner.example/überblick".encode(), b"https://partner.example/%C3%BCberblick"),
        (b"http://127.0.0.1:9001/my report", b"/my%20report"),
        (b"\\\\127.0.0.1:9001\\x", b"/x"),
    ],
)
def test_a_location_is_encoded_like_in_a_browser(given: bytes, expected: bytes) -> None:
    hygiene = ResponseHygiene(target=parse_target("http://127.0.0.1:9001"), add_security_headers=False)
    for name in (b"location", b"content-location"):
        assert hygiene.clean([(name, given)]) == [(name, expected)]


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        (b"refresh", b"5", b"5"),
        (b"refresh", b"0; url=/my report", b"0; url=/my%20report"),
        (b"refresh", b"0;URL='http://127.0.0.1:9001/x y'", b"0;URL='/x%20y'"),
        (b"link", b"<http://127.0.0.1:9001/p?page=2>; rel=next", b"</p?page=2>; rel=next"),
        (b"link", b'</a b>; rel=x; title="<kept>", </c>; rel=y', b'</a%20b>; rel=x; title="<kept>", </c>; rel=y'),
        (b"content-disposition", "attachment; filename=ü.txt".encode(), "attachment; filename=ü.txt".encode()),
    ],
)
def test_other_headers_with_urls_show_no_internal_address(name: bytes, given: bytes, expected: bytes) -> None:
    hygiene = ResponseHygiene(target=parse_target("http://127.0.0.1:9001"), add_security_headers=False)
    assert hygiene.clean([(name, given)]) == [(name, expected)]


def test_security_headers_are_added_where_the_upstream_has_none() -> None:
    added = dict(ResponseHygiene(is_page=True).clean([]))
    assert added == {
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"strict-origin-when-cross-origin",
        b"content-security-policy": b"frame-ancestors 'self'",
        b"x-frame-options": b"SAMEORIGIN",
    }
    assert b"x-frame-options" not in dict(ResponseHygiene().clean([]))


def test_the_security_headers_of_the_upstream_are_kept() -> None:
    given = [(b"content-security-policy", b"default-src 'self'"), (b"referrer-policy", b"no-referrer")]
    cleaned = ResponseHygiene(is_page=True).clean(given)
    assert cleaned == [*given, (b"x-content-type-options", b"nosniff")]
