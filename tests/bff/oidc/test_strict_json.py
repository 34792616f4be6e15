"""JSON of the protocol: one object, in bounded time, or a refusal."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import InvalidToken
from bff.oidc.strict_json import MAX_BYTES, MAX_DEPTH, parse_object


def refused(body: bytes, **limits: Any) -> bool:
    code = ""
    try:
        parse_object(body, code="some_code", **limits)
    except InvalidToken as error:
        code = error.code
    assert code in ("", "some_code")
    return bool(code)


@pytest.mark.parametrize(
    "body",
    [b"{}", b' {"a": [1, 2.5, true, null, "x"]} \n', '{"name": "Zoë"}'.encode(), b'{"a": "[[[{{{", "b": "\\"[["}'],
)
def test_an_object_is_read(body: bytes) -> None:
    assert parse_object(body, code="x") == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"5",
        b"<!doctype html>",
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1}{"b":2}',
        b'{"a":1,"a":1}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":' + b"1" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-32-le"),
        b'{"a":"\xff"}',
        b"{'a':1}",
        b'{"a":1,}',
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    assert refused(body)


def test_nesting_is_limited_and_brackets_in_strings_are_not_counted() -> None:
    deepest = b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    assert not refused(deepest)
    assert refused(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")
    assert not refused(b'{"a":"' + b"[" * 1000 + b'"}')


def test_the_size_of_a_body_is_limited() -> None:
    assert not refused(b'{"a":"' + b"x" * 20 + b'"}', max_bytes=28)
    assert refused(b'{"a":"' + b"x" * 20 + b'"}', max_bytes=27)
    assert refused(b'{"a":"' + b"x" * MAX_BYTES + b'"}')


HALF = MAX_BYTES // 2


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * (HALF - 10),
        b"\\" * (MAX_BYTES - 1),
        b'"' * (MAX_BYTES - 1),
        b'"\\' * (HALF - 10),
        b"[" * (MAX_BYTES - 1),
        b'{"a":' * (MAX_BYTES // 5 - 1),
        b'{"a":[' + b"[]," * (MAX_BYTES // 3 - 10) + b"[]]}",
        b"[]" * (HALF - 10),
        b'{"a":' + b"9" * (MAX_BYTES - 10) + b"}",
        b'{"a":1e' + b"9" * (MAX_BYTES - 10) + b"}",
        b"{" + b'"a' * (HALF - 10) + b"}",
    ],
    ids=[
        "open-string",
        "backslashes",
        "quotes",
        "open-escapes",
        "lists",
        "objects",
        "empty-lists",
        "pairs",
        "digits",
        "exponent",
        "unescaped",
    ],
)
def test_reading_hostile_bodies_takes_time_proportional_to_their_length(body: bytes) -> None:
    """A quadratic reader takes minutes for these."""
    before = time.thread_time()
    refused(body)
    assert time.thread_time() - before < 3


@given(st.binary(max_size=200))
def test_any_bytes_give_at_most_a_refusal(body: bytes) -> None:
    if not refused(body):
        assert isinstance(json.loads(body), dict)


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=8), max_size=4)
)
def test_any_json_object_is_read_back_unchanged(value: dict[str, Any]) -> None:
    assert parse_object(json.dumps(value).encode(), code="x") == value
