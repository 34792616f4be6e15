"""Cookies read from raw bytes: only the exact name is accepted, and only once."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bff.browser.cookies import (
    CookieNames,
    DuplicateCookie,
    build_clear_cookie,
    build_set_cookie,
    cookie_headers,
    find_cookie,
    find_session_cookie,
    split_cookies,
    transaction_cookie_names,
)

NAME = "__Host-vestibule"
VALUE = "i" * 43 + "." + "s" * 43
SENT = f"{NAME}={VALUE}".encode()
SECURE = CookieNames.for_origin(secure=True)
PLAIN = CookieNames.for_origin(secure=False)


def test_cookie_names_have_the_host_prefix_on_https_and_no_prefix_on_plain_http() -> None:
    assert (SECURE.session, SECURE.transaction_prefix, SECURE.secure) == (NAME, "__Host-vestibule-tx-", True)
    assert (PLAIN.session, PLAIN.transaction_prefix, PLAIN.secure) == ("vestibule", "vestibule-tx-", False)


def test_only_cookie_headers_are_read() -> None:
    headers = [(b"cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"cookie", b"c=3"), (b"x-cookie", b"d=4")]
    assert cookie_headers(headers) == [b"a=1", b"c=3"]


@pytest.mark.parametrize(
    "headers",
    [
        [SENT],
        [b"a=1; " + SENT],
        [SENT + b"; b=2"],
        [b"a=1", SENT],
        [b"a=1;" + SENT + b";b"],
        [b"  " + SENT + b"  "],
        [b"$Version=1; " + SENT],
        [SENT + b"; $Path=/; $x=1"],
        [b'$Version="1', SENT],
    ],
)
def test_the_session_cookie_is_found_at_any_position(headers: list[bytes]) -> None:
    assert find_session_cookie(headers, NAME) == VALUE


@pytest.mark.parametrize(
    "prefix",
    [b"\xa0", b"\x85", b"\x1f", b"\t", b"\xe2\x80\x80", b"\x0b", b"\x00", b"=", b'"', b"%20", b"x"],
)
def test_a_cookie_with_characters_before_its_name_is_another_cookie(prefix: bytes) -> None:
    """Parsers that trim unusual white space read these as our cookies."""
    assert find_cookie([prefix + SENT], NAME) is None


@pytest.mark.parametrize(
    "header",
    [
        f"__host-vestibule={VALUE}".encode(),
        f"__HOST-VESTIBULE={VALUE}".encode(),
        f"%5F_Host-vestibule={VALUE}".encode(),
        f"{NAME} ={VALUE}".encode(),
        f"{NAME}-tx={VALUE}".encode(),
        f"{NAME}".encode(),
        f"${NAME}={VALUE}".encode(),
        f'x="a; {NAME}'.encode(),
        b"",
        b";;;",
    ],
)
def test_other_spellings_of_the_session_cookies_name_are_ignored(header: bytes) -> None:
    assert find_cookie([header], NAME) is None


@pytest.mark.parametrize(
    "value",
    ["", '"' + VALUE + '"', VALUE + " x", "\\073" + VALUE[4:], VALUE[:-1], VALUE + "=", VALUE.replace(".", ","), "ü"],
)
def test_a_session_cookie_with_a_malformed_value_is_ignored(value: str) -> None:
    assert find_session_cookie([f"{NAME}={value}".encode()], NAME) is None


@pytest.mark.parametrize(
    "headers",
    [[SENT + b"; " + SENT], [SENT, SENT], [SENT + b"; a=1; " + NAME.encode() + b"=evil"], [NAME.encode() + b"=", SENT]],
)
def test_two_session_cookies_are_a_duplicate_in_any_order(headers: list[bytes]) -> None:
    with pytest.raises(DuplicateCookie):
        find_session_cookie(headers, NAME)


def test_a_look_alike_beside_the_real_cookie_does_not_hide_it() -> None:
    assert find_cookie([b"\xa0" + SENT + b"; " + SENT], NAME) == VALUE


def test_the_cookie_name_inside_the_value_of_another_cookie_is_ignored() -> None:
    assert find_cookie([b"a=" + SENT], NAME) is None


def test_ck_3_the_session_cookie_is_found_among_any_number_of_foreign_cookies() -> None:
    assert find_cookie([b"a=1; " * 5_000 + SENT], NAME) == VALUE
    assert len(split_cookies([b"a=1; " * 5_000, SENT])) == 5_001


def test_cookie_pairs_are_kept_byte_for_byte() -> None:
    assert split_cookies([b'a="1;b=2"; c==3; =4; \xff=\xfe']) == [
        (b"a", b'"1'),
        (b"b", b'2"'),
        (b"c", b"=3"),
        (b"", b"4"),
        (b"\xff", b"\xfe"),
    ]


@given(st.lists(st.binary(max_size=60), max_size=4))
@example([SENT, b"\xa0" + SENT])
def test_any_bytes_give_a_value_only_for_an_exact_cookie_pair(noise: list[bytes]) -> None:
    try:
        value = find_cookie(noise, NAME)
    except DuplicateCookie:
        return
    exact = [part.strip(b" ") for header in noise for part in header.split(b";")]
    assert value is None or f"{NAME}={value}".encode() in exact


def test_only_well_formed_transaction_cookies_of_this_origin_are_found() -> None:
    sent = b"__Host-vestibule-tx-00ff00ff=1; vestibule-tx-11111111=1; __Host-vestibule-tx-XYZ=1; " + SENT
    assert transaction_cookie_names([sent], SECURE) == ["__Host-vestibule-tx-00ff00ff"]
    assert transaction_cookie_names([sent], PLAIN) == ["vestibule-tx-11111111"]


def test_a_cookie_is_set_with_all_security_attributes_and_without_a_domain() -> None:
    assert build_set_cookie("n", "v", secure=True) == "n=v; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert build_set_cookie("n", "v", secure=False) == "n=v; Path=/; HttpOnly; SameSite=Lax"
    persistent = build_set_cookie("n", "v", secure=True, max_age=60, same_site="None")
    assert persistent == "n=v; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=60"


def test_clearing_a_cookie_keeps_the_attributes_that_a_host_cookie_needs() -> None:
    assert build_clear_cookie("n", secure=True) == "n=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
