"""The script in the head of a document, or the document as it was."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents.head_tag import MOST_STEPS
from gateway.documents.insertion import LOOK_AHEAD, HeadInserter, build_script_tag, document_headers
from gateway.documents.selection import Document, read_document
from gateway.headers.request import RawHeaders
from tests.gateway.upstream.odd_documents import DOCUMENTS, UNNAMED, UTF_8, OddDocument

TAG = build_script_tag("/auth/guard.js")
HEAD = b"<!doctype html><html><head>"
odd = pytest.mark.parametrize("odd", [pytest.param(document, id=document.id) for document in DOCUMENTS])


class Insertion:
    """One document on its way through an inserter, and the result."""

    def __init__(self, content_type: str = UTF_8, *, length: int | None = None) -> None:
        self.given: RawHeaders = [(b"content-type", content_type.encode()), (b"etag", b'"1"')]
        if length is not None:
            self.given.append((b"content-length", b"%d" % length))
        self.reasons: list[str] = []
        document = read_document(200, self.given)
        self.inserter = (
            HeadInserter(TAG, self.given, family=document.family, on_left_alone=self.reasons.append)
            if isinstance(document, Document)
            else None
        )

    def feed(self, data: bytes) -> bytes:
        return data if self.inserter is None else self.inserter.feed(data)

    def run(self, *pieces: bytes) -> bytes:
        given = [self.feed(piece) for piece in pieces]
        return b"".join([*given, b"" if self.inserter is None else self.inserter.finish()])

    @property
    def headers(self) -> RawHeaders | None:
        return self.given if self.inserter is None else self.inserter.headers


def insert(odd: OddDocument, *pieces: bytes) -> bytes:
    return Insertion(odd.content_type).run(*(pieces or (odd.body,)))


@odd
def test_the_script_is_inserted_only_at_the_start_of_an_unambiguous_head(odd: OddDocument) -> None:
    answer = insert(odd)
    if odd.gets_script:
        before, tag, after = answer.partition(TAG)
        assert tag
        assert before + after == odd.body
        assert before.endswith(b">")
    else:
        assert answer == odd.body


@odd
def test_it_does_not_matter_where_a_document_is_cut_in_two(odd: OddDocument) -> None:
    whole = insert(odd)
    for cut in range(min(len(odd.body), 1_100)):
        assert insert(odd, odd.body[:cut], odd.body[cut:]) == whole


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@odd
def test_it_does_not_matter_how_small_the_pieces_are(odd: OddDocument, size: int) -> None:
    pieces = [odd.body[start : start + size] for start in range(0, len(odd.body), size)]
    assert insert(odd, *pieces) == insert(odd)


@given(st.binary(), st.sampled_from([UTF_8, UNNAMED]))
def test_no_byte_of_a_document_is_lost(document: bytes, content_type: str) -> None:
    assert Insertion(content_type).run(document).replace(TAG, b"", 1) == document


@given(
    st.lists(
        st.sampled_from([b"<", b">", b"!", b"-", b"--", b"<!--", b"-->", b"head", b"html", b" ", b"=", b'"', b"'"])
    )
)
def test_documents_of_significant_bytes_give_the_same_result_wherever_they_are_cut(parts: list[bytes]) -> None:
    document = b"".join(parts) + HEAD
    whole = Insertion().run(document)
    assert whole.replace(TAG, b"", 1) == document
    assert Insertion().run(*(document[at : at + 1] for at in range(len(document)))) == whole


def test_a_head_that_ends_too_late_is_passed_on_without_the_script() -> None:
    for filler, is_reached in ((LOOK_AHEAD - len(HEAD), True), (LOOK_AHEAD - len(HEAD) + 1, False)):
        document = b" " * filler + HEAD + b"<title>t</title>"
        assert (TAG in Insertion().run(document)) is is_reached
        assert (TAG in Insertion().run(document[:1000], document[1000:70_000], document[70_000:])) is is_reached


def test_a_document_is_passed_on_as_soon_as_it_is_clear_that_it_has_no_head() -> None:
    insertion = Insertion()
    assert insertion.feed(b"<!doctype html>") == b""
    assert insertion.feed(b"<p>") == b"<!doctype html><p>"
    assert insertion.feed(b"<head>") == b"<head>"
    assert insertion.reasons == ["no_head"]


def test_pieces_after_the_head_are_passed_on_at_once() -> None:
    insertion = Insertion()
    assert insertion.feed(b"<html><he") == b""
    assert insertion.feed(b"ad>") == b"<html><head>" + TAG
    assert insertion.feed(b"<head>") == b"<head>"
    assert insertion.run() == b""
    assert insertion.reasons == []


def test_a_document_that_declares_utf_8_first_is_not_held() -> None:
    insertion = Insertion(UNNAMED)
    start = HEAD + b'\n  <meta charset="UTF-8" />'
    assert insertion.feed(start) == HEAD + TAG + start[len(HEAD) :]


def test_a_document_without_an_encoding_is_held_for_as_many_bytes_as_browsers_search() -> None:
    insertion = Insertion(UNNAMED)
    assert insertion.feed(HEAD + b"<title>t</title>") == b""
    assert insertion.feed(b" " * 2000).startswith(HEAD + TAG)


HOSTILE = {
    "attributes": b"<html" + b" a" * 5_000_000,
    "quotes in attributes": b"<html" + b" a='>\"'" * 1_000_000,
    "one endless value": b'<html a="' + b">" * 10_000_000,
    "one endless name": b"<html " + b"a" * 10_000_000,
    "one endless plain value": b"<html a=" + b"a" * 10_000_000,
    "one endless comment": b"<!--" + b"- " * 5_000_000,
    "dashes": b"<!--" + b"-" * 10_000_000,
    "bangs": b"<!--" + b"--!" * 3_000_000,
    "small comments": b"<!-->" * 2_000_000,
    "doctypes": b"<!doctype>" * 1_000_000,
    "blanks": b" " * 10_000_000,
    "smaller-thans": b"<" * 10_000_000,
}


@pytest.mark.parametrize("size", [16, 65_536])
@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE)
def test_ten_megabytes_without_a_head_take_little_time_and_memory(document: bytes, size: int) -> None:
    insertion = Insertion()
    pieces = [document[start : start + size] for start in range(0, len(document), size)]
    started = time.process_time()
    held = most = 0
    for piece in pieces:
        held += len(piece) - len(insertion.feed(piece))
        most = max(most, held)
    assert time.process_time() - started < 2
    assert held == 0
    assert most <= LOOK_AHEAD


def test_a_document_of_very_many_small_constructs_is_passed_on_without_the_script() -> None:
    few, many = (b"<!-->" * count + HEAD for count in (MOST_STEPS // 4, MOST_STEPS))
    assert TAG in Insertion().run(few)
    assert Insertion().run(many) == many
    assert Insertion().run(*(many[at : at + 1] for at in range(len(many)))) == many


def test_a_document_with_a_length_waits_for_the_decision_and_keeps_its_headers() -> None:
    insertion = Insertion(length=24)
    assert insertion.feed(b"<!doctype html>") == b""
    assert insertion.headers is None
    assert insertion.feed(b"<p>no head") == b"<!doctype html><p>no head"
    assert insertion.headers == insertion.given


def test_a_document_with_a_length_gets_its_new_length_with_the_script() -> None:
    insertion = Insertion(length=len(HEAD))
    assert len(insertion.run(HEAD)) == len(HEAD) + len(TAG)
    assert insertion.headers == [
        (b"content-type", UTF_8.encode()),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % (len(HEAD) + len(TAG))),
    ]


def test_a_document_without_a_length_gets_its_headers_at_once() -> None:
    assert Insertion().headers == [(b"content-type", UTF_8.encode()), (b"cache-control", b"no-store")]


def test_a_document_that_ends_before_the_decision_keeps_its_headers() -> None:
    insertion = Insertion(length=6)
    assert insertion.run(b"<html>") == b"<html>"
    assert insertion.headers == insertion.given


def test_headers_that_describe_the_original_bytes_are_dropped() -> None:
    described = [
        (b"content-length", b"5"),
        (b"etag", b"x"),
        (b"last-modified", b"d"),
        (b"repr-digest", b"sha-256=:x:"),
        (b"cache-control", b"private, max-age=60"),
        (b"content-type", b"text/html"),
    ]
    assert document_headers(described, added=7) == [
        (b"content-type", b"text/html"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"12"),
    ]


@pytest.mark.parametrize("lengths", [(), (b"x",), (b"5", b"5"), (b"-5",)], ids=["none", "text", "two", "negative"])
def test_a_content_length_that_is_not_one_number_is_dropped(lengths: tuple[bytes, ...]) -> None:
    described = [(b"content-length", length) for length in lengths]
    assert document_headers(described, added=7) == [(b"cache-control", b"no-store")]


def test_the_script_tag_escapes_its_values() -> None:
    assert build_script_tag('/a"b', nonce="n'") == b'<script src="/a&quot;b" nonce="n&#x27;"></script>'
    assert build_script_tag("/auth/guard.js") == b'<script src="/auth/guard.js"></script>'
