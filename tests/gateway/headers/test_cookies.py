"""The gateway's cookies stay with the gateway; every other byte of a Cookie header passes."""

from __future__ import annotations

import http.cookies
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser

from gateway.headers.cookies import is_settable, select_cookies, strip_gateway_cookies

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


@pytest.mark.parametrize("own", OWN, ids=repr)
def test_a_gateway_cookie_is_removed_in_every_spelling(own: bytes) -> None:
    assert strip_gateway_cookies(own) == b""
    assert b"secret" not in strip_gateway_cookies(b"a=1; " + own + b"; b=2")


@pytest.mark.parametrize("own", OWN[:4], ids=repr)
@pytest.mark.parametrize(
    "other", [b"a=1", b'quoted="x y"', b"_streamlit_xsrf=2|ab|cd|12", b"odd name=1", b"x=\xe9", b"a=b=c"]
)
def test_other_cookies_stay_byte_for_byte(own: bytes, other: bytes) -> None:
    assert strip_gateway_cookies(other) == other
    assert strip_gateway_cookies(own + b"; " + other) == other
    assert strip_gateway_cookies(other + b"; " + own) == other
    assert strip_gateway_cookies(other + b"; " + own + b";" + other) == other + b";" + other


@pytest.mark.parametrize(
    "name", [b"vestibules", b"my_vestibule", b"prevestibule-tx-1", b"__Host-vestibul", b"avestibule"]
)
def test_a_name_that_only_resembles_ours_stays(name: bytes) -> None:
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
def test_no_lenient_parser_finds_a_gateway_cookie_in_what_is_left(pieces: list[tuple[bytes, bytes]]) -> None:
    header = b"".join(pair + separator for pair, separator in pieces)
    left = strip_gateway_cookies(header)
    for name in liberal_names(left):
        bare = name.strip().strip("\"'").lower().removeprefix("__host-")
        assert bare != "vestibule"
        assert not bare.startswith("vestibule-")


@given(st.lists(other_pairs.filter(bool), min_size=1, max_size=6))
def test_a_header_without_our_cookies_is_untouched(pairs: list[bytes]) -> None:
    header = b"; ".join(pairs)
    assert strip_gateway_cookies(header) == header


def test_only_listed_cookies_are_selected() -> None:
    header = b"_streamlit_xsrf=2|a; sso=1; __Host-vestibule=s; _streamlit_user=x; broken"
    assert select_cookies(header, ["_streamlit_*"]) == b"_streamlit_xsrf=2|a; _streamlit_user=x"
    assert select_cookies(header, ["nothing"]) == b""
    assert select_cookies(header, "all") == b"_streamlit_xsrf=2|a; sso=1; _streamlit_user=x; broken"


@pytest.mark.parametrize("own", OWN, ids=repr)
def test_an_upstream_cannot_set_a_gateway_cookie(own: bytes) -> None:
    assert not is_settable(own + b"; Path=/; Secure")


@pytest.mark.parametrize(
    "cookie",
    [
        b"a=1; Domain=apps.example.com",
        b"a=1; Path=/; DOMAIN = example.com",
        b"a=1;domain",
        b"nameless",
        b"=value",
        b"bad name=1",
        b"\xa0a=1",
    ],
)
def test_a_domain_cookie_or_a_nameless_one_cannot_be_set(cookie: bytes) -> None:
    assert not is_settable(cookie)


@pytest.mark.parametrize("cookie", [b"a=1", b"_streamlit_xsrf=2|x; Path=/; SameSite=Lax", b"a=domain; Path=/domain"])
def test_an_ordinary_cookie_can_be_set(cookie: bytes) -> None:
    assert is_settable(cookie)
