"""Which headers of a client reach an upstream."""

from __future__ import annotations

import pytest

from bff.settings.tables import STREAMLIT_HEADERS
from gateway.headers.request import RequestHygiene, owned_headers, without_conditionals

IDENTITY = [
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Access-Token",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Roles",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Name",
    "X-Auth-Request-Provider",
    "X-Auth-Request-Id",
    "X-Auth-Request-Access-Token",
    "X-Auth-Request-Redirect",
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
    "X-Remote-User",
    "X-Streamlit-User",
    "X-Vestibule-Assertion",
    "X-Vestibule-Session",
    "X-Vestibule-Kit",
    "X-Vestibule-CSRF",
    "X-Authentik-Username",
    "X-Vouch-User",
    "X-Pomerium-Jwt-Assertion",
    "GAP-Auth",
    "X-Department",
]
ORIGIN = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "Forwarded",
    "X-Real-IP",
    "X-Original-URL",
    "X-Original-URI",
    "X-Original-Method",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Request-ID",
    "Proxy",
]
HYGIENE = RequestHygiene(owned=owned_headers(["X-Department"]))


def spellings(name: str) -> list[bytes]:
    forms = {
        name,
        name.lower(),
        name.upper(),
        name.replace("-", "_"),
        name.replace("-", "."),
        name.replace("-", "_", 1),
    }
    forms |= {name.replace("-", ".", 1), name.lower().replace("-", "_")}
    return [form.encode() for form in sorted(forms)]


@pytest.mark.parametrize("name", IDENTITY + ORIGIN)
@pytest.mark.parametrize("keep_authorization", [False, True])
def test_identity_and_forwarding_headers_of_clients_are_removed_in_every_spelling(
    name: str, *, keep_authorization: bool
) -> None:
    given = [(form, value) for form in spellings(name) for value in (b"mallory", b"")]
    given += [(spellings(name)[0], b"again"), (b"accept", b"*/*")]
    assert HYGIENE.clean(given, keep_authorization=keep_authorization) == [(b"accept", b"*/*")]


@pytest.mark.parametrize(
    "name", [b"x_anything", b"x.anything", b"accept_language", b"bad name", b"", b"n\xc3\xa4me", b"a:b"]
)
def test_a_header_name_that_another_parser_could_read_differently_is_dropped(name: bytes) -> None:
    assert HYGIENE.clean([(name, b"1")]) == []


@pytest.mark.parametrize("name", [b"authorization", b"Authorization", b"DPoP"])
def test_the_authorization_header_is_passed_on_only_where_the_route_asks_for_it(name: bytes) -> None:
    given = [(name, b"one"), (name, b"two")]
    assert HYGIENE.clean(given) == []
    assert HYGIENE.clean(given, keep_authorization=True) == [(name.lower(), b"one"), (name.lower(), b"two")]


def test_proxy_authorization_is_never_passed_on() -> None:
    assert HYGIENE.clean([(b"proxy-authorization", b"Basic x")], keep_authorization=True) == []


def test_hop_by_hop_framing_and_nominated_headers_are_removed() -> None:
    given = [
        (b"connection", b"close, X-Custom , cookie"),
        (b"Connection", b"host"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"trailer", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"5"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"x"),
        (b"expect", b"100-continue"),
        (b"x-custom", b"nominated"),
        (b"cookie", b"a=1"),
        (b"host", b"apps.example.com"),
        (b"accept", b"*/*"),
    ]
    assert HYGIENE.clean(given) == [(b"host", b"apps.example.com"), (b"accept", b"*/*")]


def test_cookies_of_the_gateway_are_removed_from_each_of_several_cookie_headers() -> None:
    given = [(b"cookie", b"a=1; __Host-vestibule=s"), (b"cookie", b"__Host-vestibule=s"), (b"cookie", b"b=2")]
    assert HYGIENE.clean(given) == [(b"cookie", b"a=1"), (b"cookie", b"b=2")]


def test_ordinary_headers_keep_their_order_duplicates_and_unusual_bytes() -> None:
    given = [
        (b"accept", b"a"),
        (b"x-note", b"caf\xc3\xa9"),
        (b"accept", b"b"),
        (b"traceparent", b"00-1"),
        (b"range", b"x"),
    ]
    assert HYGIENE.clean(given) == given


def test_a_streamlit_route_gets_only_the_listed_headers() -> None:
    hygiene = RequestHygiene(forward_headers=STREAMLIT_HEADERS, forward_cookies=("_streamlit_*",))
    given = [
        (b"host", b"apps.example.com"),
        (b"origin", b"https://apps.example.com"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"sec-fetch-mode", b"cors"),
        (b"x-api-key", b"secret"),
        (b"x-xsrftoken", b"2|x"),
        (b"cookie", b"other=1; _streamlit_xsrf=2|x"),
    ]
    assert hygiene.clean(given) == [
        (b"host", b"apps.example.com"),
        (b"origin", b"https://apps.example.com"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"x-xsrftoken", b"2|x"),
        (b"cookie", b"_streamlit_xsrf=2|x"),
    ]


def test_a_document_that_gets_the_script_is_requested_complete_and_uncompressed() -> None:
    given = [
        (b"accept-encoding", b"br"),
        (b"if-none-match", b'"x"'),
        (b"if-modified-since", b"d"),
        (b"range", b"bytes=0-"),
    ]
    assert without_conditionals([*given, (b"accept", b"*/*")]) == [
        (b"accept", b"*/*"),
        (b"accept-encoding", b"identity"),
    ]
