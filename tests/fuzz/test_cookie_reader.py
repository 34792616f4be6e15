"""The cookie reader against an independent reading of RFC 6265, over bytes that are nearly cookies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.browser.cookies import (
    CookieNames,
    DuplicateCookie,
    find_cookie,
    find_session_cookie,
    split_cookies,
)
from bff.browser.cookies import transaction_cookie_names as transaction_names
from bff.contract import INSECURE_SESSION_COOKIE, SESSION_COOKIE

SHORT = settings(max_examples=300)
LONG = settings(max_examples=20_000)

NAME = SESSION_COOKIE
SIGNED = b"a" * 43 + b"." + b"b" * 43
DUPLICATE = "duplicate"

SHAPE = re.compile(rb"[A-Za-z0-9_-]{43}[.][A-Za-z0-9_-]{43}")
# RFC 6265 section 4.1.1: token "=" *cookie-octet, which may stand in quotes.
STRICT_PAIR = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*|"
    rb'"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")'
)

nearly_ours = st.sampled_from(
    [
        NAME.encode(),
        NAME.encode().lower().replace(b"h", b"H", 1),
        NAME.upper().encode(),
        INSECURE_SESSION_COOKIE.encode(),
        b"x" + NAME.encode(),
        NAME.encode() + b"2",
        b" " + NAME.encode(),
        b"\t" + NAME.encode(),
        b"\xa0" + NAME.encode(),
        b'"' + NAME.encode() + b'"',
        b"__Host-vestibule-tx-00ff00ff",
        b"__Host-vestibule-tx-00FF00FF",
        b"vestibule-tx-00ff00ff",
        b"$Version",
        b"$Path",
        b"a",
        b"",
    ]
)
names = st.one_of(st.just(NAME.encode()), st.just(INSECURE_SESSION_COOKIE.encode()), nearly_ours)
values = st.one_of(
    st.sampled_from(
        [
            SIGNED,
            b'"' + SIGNED + b'"',
            b" " + SIGNED,
            SIGNED + b"\t",
            SIGNED + b"\n",
            SIGNED + b"=",
            SIGNED[:-1],
            b"%61" + SIGNED[1:],
            b"",
            b"\xe9" + SIGNED[1:],
        ]
    ),
    st.binary(max_size=12),
    st.lists(st.sampled_from(list(b'aZ09-_.=;, "\\\t\r\n\x00\x7f\x80\xff$%')), max_size=12).map(bytes),
)
pairs = st.builds(
    lambda name, sign, value: name + sign + value, names, st.sampled_from([b"=", b" =", b"= ", b""]), values
)
separators = st.sampled_from([b"; ", b";", b" ; ", b";;", b", ", b",", b";\t", b"; \x0b", b";\xa0", b"\r\n", b"&"])
headers = st.one_of(
    st.lists(st.tuples(pairs, separators), max_size=5).map(lambda parts: b"".join(a + b for a, b in parts)),
    st.lists(pairs, max_size=4).map(b"; ".join),
    st.binary(max_size=80),
)
requests = st.lists(headers, max_size=3)
wanted = st.sampled_from([NAME, INSECURE_SESSION_COOKIE])

Fuzz = Callable[[Sequence[bytes], str], None]


def reference_pairs(lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Read byte by byte, as RFC 6265 section 5.4 writes: pairs between semicolons, spaces around a pair dropped."""
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        begin = 0
        for end in [index for index, byte in enumerate(line) if byte == 0x3B] + [len(line)]:
            first, last = begin, end
            while first < last and line[first] == 0x20:
                first += 1
            while last > first and line[last - 1] == 0x20:
                last -= 1
            begin = end + 1
            sign = line.find(0x3D, first, last)
            if sign >= 0:
                found.append((line[first:sign], line[sign + 1 : last]))
    return found


def reference(lines: Sequence[bytes], name: str) -> str | None:
    """The one value, None, or `DUPLICATE`."""
    found = reference_pairs(lines)
    matching = [value for cookie, value in found if cookie == name.encode()]
    if len(matching) > 1:
        return DUPLICATE
    if not matching or any(byte > 0x7F for byte in matching[0]):
        return None
    return "".join(map(chr, matching[0]))


def read(lines: Sequence[bytes], name: str) -> str | None:
    try:
        return find_cookie(lines, name)
    except DuplicateCookie:
        return DUPLICATE


def strict_values(lines: Sequence[bytes], name: str) -> list[str]:
    """Read by the grammar of RFC 6265 section 4.1.1. Lines that do not follow it are read part by part."""
    matches = [STRICT_PAIR.fullmatch(part.strip(b" ")) for line in lines for part in line.split(b";")]
    return [match[2].decode("ascii") for match in matches if match and match[1] == name.encode()]


def check_agreement(lines: Sequence[bytes], name: str) -> None:
    assert read(lines, name) == reference(lines, name)
    assert split_cookies(lines) == reference_pairs(lines)


def check_session_cookie(lines: Sequence[bytes], name: str) -> None:
    try:
        value = find_session_cookie(lines, name)
    except DuplicateCookie:
        assert sum(cookie == name.encode() for cookie, _ in reference_pairs(lines)) > 1
        return
    if value is None:
        return
    assert SHAPE.fullmatch(value.encode("ascii"))
    assert strict_values(lines, name) == [value]


def check_transaction_names(lines: Sequence[bytes], name: str) -> None:
    origin = CookieNames.for_origin(secure=name == NAME)
    prefix = origin.transaction_prefix
    for found in transaction_names(lines, origin):
        assert re.fullmatch(re.escape(prefix) + "[0-9a-f]{8}", found)
        assert found.encode() in [cookie for cookie, _ in reference_pairs(lines)]


CHECKS: list[Fuzz] = [check_agreement, check_session_cookie, check_transaction_names]


@pytest.mark.parametrize("check", CHECKS)
@SHORT
@given(lines=requests, name=wanted)
@example(lines=[NAME.encode() + b"=" + SIGNED], name=NAME)
@example(lines=[b"\xa0" + NAME.encode() + b"=" + SIGNED], name=NAME)
@example(lines=[NAME.encode() + b"=" + SIGNED, NAME.encode() + b"="], name=NAME)
@example(lines=[NAME.encode() + b"=" + SIGNED + b"="], name=NAME)
@example(lines=[NAME.encode() + b"=\xe9" + SIGNED[1:]], name=NAME)
def test_any_cookie_header_is_read_as_the_rfc_says(check: Fuzz, lines: list[bytes], name: str) -> None:
    check(lines, name)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", CHECKS)
@LONG
@given(lines=requests, name=wanted)
def test_any_of_very_many_cookie_headers_is_read_as_the_rfc_says(check: Fuzz, lines: list[bytes], name: str) -> None:
    check(lines, name)


@SHORT
@given(before=st.integers(0, 500), after=st.integers(0, 500), split=st.booleans())
def test_the_session_cookie_is_found_between_any_number_of_foreign_cookies(
    before: int, after: int, split: bool
) -> None:
    ours = NAME.encode() + b"=" + SIGNED
    parts = [b"a=1"] * before + [ours] + [b"b=2"] * after
    lines = parts if split else [b"; ".join(parts)]
    assert find_session_cookie(lines, NAME) == SIGNED.decode()


@SHORT
@given(noise=st.lists(st.sampled_from([b"a=1", b"b", b"c=;", b'd="x"', b"\xff=\xfe", b"e=\t"]), max_size=6))
def test_a_session_cookie_is_found_among_foreign_cookies(noise: list[bytes]) -> None:
    """Otherwise the checks above could pass with a reader that never finds anything."""
    ours = NAME.encode() + b"=" + SIGNED
    assert find_session_cookie([b"; ".join([*noise, ours])], NAME) == SIGNED.decode()
    assert find_session_cookie([b"; ".join([ours, *noise])], NAME) == SIGNED.decode()
