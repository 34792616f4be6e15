"""The script in the head of a document."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.html import LOOK_AHEAD, HeadInserter, build_script_tag, document_headers, is_html_document

TAG = b"<script src=x></script>"
DOCUMENTS = [
    (b"<!doctype html><html><head><title>a</title>", b"<!doctype html><html><head>" + TAG + b"<title>a</title>"),
    (b"<HTML><HEAD lang=en>\n<x>", b"<HTML><HEAD lang=en>" + TAG + b"\n<x>"),
    (b"<html><head data-a=\"1>2\" data-b='>'><x>", b"<html><head data-a=\"1>2\" data-b='>'>" + TAG + b"<x>"),
    (b"<head><head>", b"<head>" + TAG + b"<head>"),
    (b"<!-- <head> --><head>a", b"<!-- <head> --><head>" + TAG + b"a"),
    (b"<header><heading><head\n>a", b"<header><heading><head\n>" + TAG + b"a"),
    (b"<head/>a", b"<head/>" + TAG + b"a"),
    (b"<html><body>no head</body>", b"<html><body>no head</body>"),
    (b"<!-- <head> never closed", b"<!-- <head> never closed"),
    (b"<head never closed", b"<head never closed"),
    (b"", b""),
    (b"<", b"<"),
    (b"a<b<<head>c", b"a<b<<head>" + TAG + b"c"),
]


def insert(*pieces: bytes) -> bytes:
    inserter = HeadInserter(TAG)
    return b"".join([*(inserter.feed(piece) for piece in pieces), inserter.finish()])


@pytest.mark.parametrize(("document", "expected"), DOCUMENTS)
def test_the_script_comes_first_in_the_head(document: bytes, expected: bytes) -> None:
    assert insert(document) == expected


@given(st.sampled_from(DOCUMENTS), st.integers(1, 7))
def test_it_does_not_matter_where_the_document_is_cut(case: tuple[bytes, bytes], size: int) -> None:
    document, expected = case
    assert insert(*(document[i : i + size] for i in range(0, len(document), size))) == expected


@given(st.binary())
def test_nothing_of_the_document_is_lost(document: bytes) -> None:
    assert insert(document).replace(TAG, b"", 1) == document


def test_a_head_that_comes_too_late_is_not_waited_for() -> None:
    inserter = HeadInserter(TAG)
    filler = b"x" * (LOOK_AHEAD + 1)
    assert inserter.feed(filler) == filler
    assert inserter.feed(b"<head>") == b"<head>"


def test_after_the_head_pieces_pass_at_once() -> None:
    inserter = HeadInserter(TAG)
    assert inserter.feed(b"<html><he") == b""
    assert inserter.feed(b"ad>") == b"<html><head>" + TAG
    assert inserter.feed(b"<head>") == b"<head>"
    assert inserter.finish() == b""


def test_the_tag_escapes_what_it_is_given() -> None:
    assert build_script_tag('/a"b', nonce="n'") == b'<script src="/a&quot;b" nonce="n&#x27;"></script>'
    assert build_script_tag("/auth/guard.js") == b'<script src="/auth/guard.js"></script>'


@pytest.mark.parametrize(
    ("status", "content_type", "encoding", "expected"),
    [
        (200, b"text/html", None, True),
        (404, b"Text/HTML; charset=utf-8", b"identity", True),
        (200, b"text/html", b"gzip", False),
        (200, b"application/json", None, False),
        (206, b"text/html", None, False),
        (304, b"text/html", None, False),
    ],
)
def test_only_whole_uncompressed_html_is_written_into(
    status: int, content_type: bytes, encoding: bytes | None, *, expected: bool
) -> None:
    headers = [(b"content-type", content_type), *([(b"content-encoding", encoding)] if encoding else [])]
    assert is_html_document(status, headers) is expected


def test_what_described_the_old_document_is_dropped() -> None:
    given_headers = [
        (b"content-length", b"5"),
        (b"etag", b"x"),
        (b"last-modified", b"d"),
        (b"content-type", b"text/html"),
    ]
    assert document_headers(given_headers) == [(b"content-type", b"text/html")]
