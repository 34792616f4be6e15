"""Only the person's own browser may cache an answer for a session."""

from __future__ import annotations

import pytest

from gateway.headers.caching import make_private
from gateway.headers.request import RawHeaders


def control_of(*values: bytes) -> bytes:
    (control,) = [
        value
        for name, value in make_private([(b"cache-control", value) for value in values])
        if name == b"cache-control"
    ]
    return control


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"public, max-age=60", b"private, max-age=60"),
        (b"PUBLIC,S-MaxAge=60,Immutable", b"private, Immutable"),
        (b"max-age=60", b"private, max-age=60"),
        (b"private", b"private"),
        (b'private="set-cookie", max-age=60', b"private, max-age=60"),
        (b'no-cache="a,public", public', b'private, no-cache="a,public"'),
        (b"no-store", b"private, no-store"),
        (b"No-Store, public", b"private, No-Store"),
        (b"", b"private"),
        (b",,", b"private"),
        (b'public="', b"private"),
    ],
)
def test_a_shared_cache_must_not_store_the_answer_and_the_rules_for_browsers_are_kept(
    given: bytes, expected: bytes
) -> None:
    assert control_of(given) == expected


def test_several_cache_control_lines_become_one() -> None:
    assert control_of(b"public", b"max-age=60", b"s-maxage=1") == b"private, max-age=60"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], b"Cookie"),
        ([b"Accept-Encoding"], b"Accept-Encoding, Cookie"),
        ([b"Accept", b"Origin"], b"Accept, Origin, Cookie"),
        ([b"cookie"], b"cookie"),
        ([b"*"], b"*"),
    ],
)
def test_an_answer_varies_by_cookie(given: list[bytes], expected: bytes) -> None:
    headers: RawHeaders = [(b"vary", value) for value in given]
    assert (b"vary", expected) in make_private(headers)


@pytest.mark.parametrize("name", [b"surrogate-control", b"cdn-cache-control", b"cloudflare-cdn-cache-control"])
def test_directives_only_for_shared_caches_are_dropped(name: bytes) -> None:
    assert name not in dict(make_private([(name, b"max-age=600"), (b"etag", b'"x"')]))


def test_other_headers_are_not_changed() -> None:
    headers: RawHeaders = [(b"etag", b'"x"'), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"expires", b"0")]
    assert make_private(headers)[:4] == headers
