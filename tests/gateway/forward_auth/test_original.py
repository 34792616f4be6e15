"""Which request a proxy asks about: read in the one way of its mode, or refused with the header that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.settings.tables import ForwardAuthMode
from gateway.forward_auth.original import Original, Refused, is_handshake, read_original

URL = [(b"x-original-url", b"https://apps.example/a%20b?x=1&y=%3f"), (b"x-original-method", b"POST")]
FORWARDED = [
    (b"x-forwarded-method", b"POST"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"apps.example"),
    (b"x-forwarded-uri", b"/a%20b?x=1&y=%3f"),
]
OWN_WAY: dict[ForwardAuthMode, list[tuple[bytes, bytes]]] = {
    "nginx": URL,
    "haproxy": URL,
    "traefik": FORWARDED,
    "caddy": FORWARDED,
}
EXPECTED = Original("POST", "https", "apps.example", b"/a%20b?x=1&y=%3f")


def read(mode: ForwardAuthMode, headers: list[tuple[bytes, bytes]], suffix: bytes = b"") -> Original | Refused:
    return read_original(mode, headers, method="GET", suffix=suffix)


@pytest.mark.parametrize("mode", OWN_WAY)
def test_a_mode_reads_its_own_headers(mode: ForwardAuthMode) -> None:
    assert read(mode, OWN_WAY[mode]) == EXPECTED


def test_envoy_asks_with_the_request_itself() -> None:
    found = read_original("envoy", [(b"host", b"Apps.Example")], method="POST", suffix=b"/a%20b?x=1&y=%3f")
    assert found == Original("POST", "", "apps.example", b"/a%20b?x=1&y=%3f")
    assert isinstance(found, Original)
    assert (found.raw_path, found.query) == (b"/a%20b", b"x=1&y=%3f")


@pytest.mark.parametrize("mode", OWN_WAY)
def test_fa_2_a_mode_ignores_the_headers_of_every_other(mode: ForwardAuthMode) -> None:
    others = [
        *((name, b"https://evil.example/") for name in (b"x-original-url", b"x-original-uri", b"x-forwarded-url")),
        *((name, b"/evil") for name in (b"x-forwarded-uri", b"x-rewrite-url", b"x-auth-request-redirect")),
        (b"x-forwarded-host", b"evil.example"),
        (b"x-original-host", b"evil.example"),
        (b"host", b"evil.example"),
        (b"x-method-override", b"DELETE"),
    ]
    own = {name for name, _ in OWN_WAY[mode]}
    mixed = [*(header for header in others if header[0] not in own), *OWN_WAY[mode]]
    assert read(mode, mixed, b"/evil") == EXPECTED


@pytest.mark.parametrize("mode", OWN_WAY)
@pytest.mark.parametrize("fault", ["is missing", "came twice"])
def test_fa_2_each_header_must_be_there_once(mode: ForwardAuthMode, fault: str) -> None:
    for header in OWN_WAY[mode]:
        others = [other for other in OWN_WAY[mode] if other != header]
        found = read(mode, others if fault == "is missing" else [*others, header, header])
        assert isinstance(found, Refused)
        assert f"{header[0].decode()} {fault}" in found.detail


@pytest.mark.parametrize("url", ["/a", "apps.example/a", "//apps.example/a", "https:///a", "https://a b/", "ftp://a/b"])
def test_fa_2_a_url_that_is_not_absolute_is_refused(url: str) -> None:
    headers = [(b"x-original-url", url.encode()), (b"x-original-method", b"GET")]
    assert isinstance(read("nginx", headers), Refused)


@pytest.mark.parametrize("host", ["", "a b", "a,b", "user@host", "host:port", "host:123456", "[::1", "é"])
@pytest.mark.parametrize("mode", ["nginx", "traefik"])
def test_fa_2_a_host_that_is_none_is_refused(mode: ForwardAuthMode, host: str) -> None:
    raw = host.encode("latin-1")
    changed = {b"x-original-url": b"https://" + raw + b"/", b"x-forwarded-host": raw}
    headers = [(name, changed.get(name, value)) for name, value in OWN_WAY[mode]]
    assert isinstance(read(mode, headers), Refused)


@pytest.mark.parametrize("method", ["", "get", "GET POST", "G" * 40, "GE\u00e9"])
def test_fa_2_a_method_that_is_none_is_refused(method: str) -> None:
    headers = [URL[0], (b"x-original-method", method.encode("latin-1"))]
    assert isinstance(read("nginx", headers), Refused)


def test_fa_2_envoy_without_a_path_behind_the_mode_is_refused() -> None:
    assert isinstance(read("envoy", [(b"host", b"apps.example")]), Refused)


def test_the_scheme_of_a_websocket_is_that_of_its_handshake() -> None:
    headers = [(name, b"wss" if name == b"x-forwarded-proto" else value) for name, value in FORWARDED]
    assert read("traefik", headers) == EXPECTED


def test_an_address_without_a_path_is_the_start_page() -> None:
    headers = [(b"x-original-url", b"https://apps.example"), (b"x-original-method", b"GET")]
    assert read("nginx", headers) == Original("GET", "https", "apps.example", b"/")


@pytest.mark.parametrize(
    "header",
    [
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"upgrade", b"WebSocket"),
        (b"sec-fetch-mode", b"websocket"),
    ],
)
def test_a_websocket_handshake_is_known_by_each_of_its_headers(header: tuple[bytes, bytes]) -> None:
    assert is_handshake([(b"host", b"apps.example"), header])


def test_an_ordinary_request_is_no_handshake() -> None:
    assert not is_handshake([(b"upgrade", b"h2c"), (b"sec-fetch-mode", b"navigate"), (b"sec-websocket-version", b"13")])


names = st.sampled_from([name for name, _ in (*URL, *FORWARDED)] + [b"host"])
headers = st.lists(st.tuples(names, st.binary(max_size=30)), max_size=8)


@given(st.sampled_from(["nginx", "traefik", "caddy", "envoy", "haproxy"]), headers, st.binary(max_size=30))
def test_fa_2_whatever_comes_is_read_or_refused(
    mode: ForwardAuthMode, lines: list[tuple[bytes, bytes]], suffix: bytes
) -> None:
    found = read(mode, lines, suffix)
    if isinstance(found, Original):
        assert found.target.startswith(b"/")
        assert found.host == found.host.lower() != ""
        assert found.scheme in ("", "http", "https")
