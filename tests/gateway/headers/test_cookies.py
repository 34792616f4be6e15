"""The gateway's cookies stay with the gateway; every other byte of a Cookie header passes."""

from __future__ import annotations

import http.cookies
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser

from gateway.headers.cookies import RefusedCookie, select_cookies, settable_cookie, strip_gateway_cookies

OWN = [
    b"__Host-vestibule=secret",
    b"__Host-vestibule-tx-0a1b2c3d=secret",
    b"vestibule=secret",
    b"vestibule-tx-0a1b2c3d=secret",
    b"__host-VESTIBULE=secret",
    b"__Secure-vestibule=secret",
    b"\xa0__Host-vestibule=secret",
    b"\xc2\xa0__Host-vestibule=secret",
    b"\x85__Host-vestibule=secret",
    b"\x1f__Host-vestibule=secret",
    b"\t__Host-vestibule =secret",
    b'"__Host-vestibule"=secret',
    b"__Host%2Dvestibule=secret",
    b"%5f%5fHost-vestibule=secret",
    b"..Host-vestibule=secret",
    b"=__Host-vestibule=secret",
    b"a=b, __Host-vestibule=secret",
    b"__Host-vestibule",
]


@pytest.mark.parametrize("own", OWN)
def test_a_cookie_of_the_gateway_is_removed_in_every_spelling(own: bytes) -> None:
    assert strip_gateway_cookies(own) == b""
    assert b"secret" not in strip_gateway_cookies(b"a=1; " + own + b"; b=2")


@pytest.mark.parametrize("own", OWN[:4])
@pytest.mark.parametrize(
    "other", [b"a=1", b'quoted="x y"', b"_streamlit_xsrf=2|ab|cd|12", b"odd name=1", b"x=\xe9", b"a=b=c"]
)
def test_other_cookies_are_kept_byte_for_byte(own: bytes, other: bytes) -> None:
    assert strip_gateway_cookies(other) == other
    assert strip_gateway_cookies(own + b"; " + other) == other
    assert strip_gateway_cookies(other + b"; " + own) == other
    assert strip_gateway_cookies(other + b"; " + own + b";" + other) == other + b";" + other


@pytest.mark.parametrize(
    "name", [b"vestibules", b"my_vestibule", b"prevestibule-tx-1", b"__Host-vestibul", b"avestibule"]
)
def test_a_cookie_with_a_similar_name_is_kept(name: bytes) -> None:
    assert strip_gateway_cookies(name + b"=1") == name + b"=1"


def liberal_names(header: bytes) -> set[str]:
    """Every cookie name that any of several lenient parsers finds."""
    text = header.decode("latin-1")
    names = set(cookie_parser(text))
    names |= {unquote(name) for name in names}
    names |= {name.strip("\"' \t=") for piece in text.split(";") for name in [piece.partition("=")[0].strip()]}
    names |= {piece.partition("=")[0].strip() for piece in text.replace(",", ";").split(";")}
    simple = http.cookies.SimpleCookie()
    try:
        simple.load(text)
    except http.cookies.CookieError:
        return names
    return names | set(simple)


noise = st.sampled_from([b"", b" ", b"\t", b"\xa0", b"\x85", b"\x1f", b"\x00", b'"', b"'", b"=", b"%20", b"$"])
own_names = st.sampled_from(
    [b"__Host-vestibule", b"__Host-vestibule-tx-12345678", b"vestibule", b"__HOST-vestibule", b"__Host%2dvestibule"]
)
other_pairs = st.sampled_from([b"a=1", b"b", b'c="x\\073 y"', b"d=e,f=g", b"=h", b"", b"i j=k", b"_streamlit_xsrf=2|x"])
own_pairs = st.builds(lambda before, name, after: before + name + after + b"=v", noise, own_names, noise)
separators = st.sampled_from([b";", b"; ", b" ;", b";\t"])


@given(st.lists(st.tuples(st.one_of(own_pairs, other_pairs), separators), max_size=8))
def test_no_lenient_parser_finds_a_cookie_of_the_gateway_in_the_remaining_header(
    pieces: list[tuple[bytes, bytes]],
) -> None:
    header = b"".join(pair + separator for pair, separator in pieces)
    left = strip_gateway_cookies(header)
    for name in liberal_names(left):
        bare = name.strip().strip("\"'").lower().removeprefix("__host-")
        assert bare != "vestibule"
        assert not bare.startswith("vestibule-")


@given(st.lists(other_pairs.filter(bool), min_size=1, max_size=6))
def test_a_header_without_cookies_of_the_gateway_is_not_changed(pairs: list[bytes]) -> None:
    header = b"; ".join(pairs)
    assert strip_gateway_cookies(header) == header


def test_only_listed_cookies_are_selected() -> None:
    header = b"_streamlit_xsrf=2|a; sso=1; __Host-vestibule=s; _streamlit_user=x; broken"
    assert select_cookies(header, ["_streamlit_*"]) == b"_streamlit_xsrf=2|a; _streamlit_user=x"
    assert select_cookies(header, ["nothing"]) == b""
    assert select_cookies(header, "all") == b"_streamlit_xsrf=2|a; sso=1; _streamlit_user=x; broken"


HOST = "apps.example.com"


def reason(cookie: bytes) -> str:
    """Why a cookie is refused; "" if it may be set."""
    answer = settable_cookie(cookie, host=HOST)
    return answer.reason if isinstance(answer, RefusedCookie) else ""


@pytest.mark.parametrize(
    "own",
    [
        *OWN,
        b"vestibule[x]=1",
        b"__Host-vestibule[]=1",
        b"vestibule%5Bx%5D=1",
        b"__Host%252Dvestibule=1",
        b"a vestibule=1",
        b"a=b __Host-vestibule=1",
        b"a=b,__Host-vestibule=1",
        b"a=b\tvestibule-tx-0a1b2c3d=1",
        b"\xa0=__Host-vestibule=1",
        b"= vestibule=1",
        b"__Host-vestibule; Domain=apps.example.com",
    ],
)
def test_an_upstream_cannot_set_a_cookie_of_the_gateway(own: bytes) -> None:
    assert reason(own + b"; Path=/; Secure") in ("own_name", "nameless")


@pytest.mark.parametrize("cookie", [b"nameless", b"=value", b" =value", b"", b"; Path=/", b"\xa0=1", b'""=1', b"==1"])
def test_a_cookie_without_a_name_cannot_be_set(cookie: bytes) -> None:
    refused = settable_cookie(cookie, host=HOST)
    assert isinstance(refused, RefusedCookie)
    assert refused.reason == "nameless"
    assert b"value" not in refused.name


@pytest.mark.parametrize(
    "domain",
    [
        b"example.com",
        b".example.com",
        b"evil.example",
        b"sub.apps.example.com",
        b"apps.example.com.",
        b"apps.example.com:8000",
        b"xapps.example.com",
        b"..apps.example.com",
        b"apps.example.com, example.com",
        b"com",
        b".",
    ],
)
def test_a_cookie_for_another_domain_cannot_be_set(domain: bytes) -> None:
    own = b"; Domain=apps.example.com"
    for cookie in (b"a=1; Domain=" + domain, b"a=1" + own + b"; Domain=" + domain, b"a=1; Domain=" + domain + own):
        if domain == b".":
            assert settable_cookie(cookie, host=HOST) == b"a=1"
        else:
            assert reason(cookie) == "domain"


@pytest.mark.parametrize(
    "attribute",
    [
        b"Domain=apps.example.com",
        b"Domain=.apps.example.com",
        b"domain=APPS.example.COM",
        b"DOMAIN = apps.example.com ",
        b'Domain="apps.example.com"',
        b"Domain=",
        b"Domain",
        b"Domain=apps.example.com; domain=.apps.example.com",
    ],
)
def test_a_cookie_domain_that_is_this_host_is_removed_and_the_cookie_is_kept(attribute: bytes) -> None:
    assert settable_cookie(b"a=1; Path=/x; " + attribute + b"; HttpOnly", host=HOST) == b"a=1; Path=/x; HttpOnly"
    assert settable_cookie(b"a=1;" + attribute, host=HOST) == b"a=1"


@pytest.mark.parametrize(
    ("host", "domain"), [("127.0.0.1", b"127.0.0.1"), ("localhost", b"localhost"), ("::1", b"::1")]
)
def test_the_domain_of_a_cookie_may_be_an_ip_address(host: str, domain: bytes) -> None:
    assert settable_cookie(b"a=1; Domain=" + domain, host=host) == b"a=1"
    assert isinstance(settable_cookie(b"a=1; Domain=10.0.0.1", host=host), RefusedCookie)


@pytest.mark.parametrize(
    "cookie",
    [
        b"a=1",
        b"_streamlit_xsrf=2|x; Path=/; SameSite=Lax",
        b"a=domain; Path=/domain",
        b"cart[item]=1; Path=/",
        b"cart[]=1",
        b"user{id}=1",
        b"a/b=1",
        b"a:b@c=1",
        b"(a)<b>=1",
        b"bad name=1",
        b"\xa0a=1",
        "größe=1".encode(),
        b'a="x, y"; Path=/',
        b"a==1=2",
        b"__Host-app=1; Secure; Path=/",
        b"vestibules=1",
        b"session= ; Max-Age=0",
        b"a=1; Partitioned; Priority=High",
    ],
)
def test_a_cookie_that_browsers_accept_is_set_byte_for_byte(cookie: bytes) -> None:
    assert settable_cookie(cookie, host=HOST) == cookie


def test_cookie_names_with_brackets_are_selected_and_ambiguous_names_are_not() -> None:
    header = b'cart[item]=1; cart[2]=x; cart{a}=2; cart, sso=3; cart x=4; "cart"=5; cart\xe9=6'
    assert select_cookies(header, ["cart*"]) == b"cart[item]=1; cart[2]=x; cart{a}=2"
