"""Which requests are navigations, and which answers are documents."""

from __future__ import annotations

import pytest

from bff.browser.csrf import FetchMetadata
from gateway.documents.selection import Document, LeftAlone, asks_for_document, read_document
from gateway.headers.request import RawHeaders

HTML = (b"accept", b"text/html,*/*;q=0.8")


def metadata(mode: str, dest: str) -> RawHeaders:
    return [
        (b"sec-fetch-site", b"none"),
        (b"sec-fetch-mode", mode.encode()),
        (b"sec-fetch-dest", dest.encode()),
        HTML,
    ]


@pytest.mark.parametrize(
    ("method", "headers", "asks"),
    [
        pytest.param("GET", metadata("navigate", "document"), True, id="window"),
        pytest.param("GET", metadata("navigate", "iframe"), True, id="iframe"),
        pytest.param("GET", metadata("navigate", "frame"), True, id="frame"),
        pytest.param("POST", metadata("navigate", "document"), True, id="form"),
        pytest.param("HEAD", metadata("navigate", "document"), False, id="HEAD"),
        pytest.param("GET", metadata("cors", "empty"), False, id="fetch"),
        pytest.param("GET", metadata("same-origin", "empty"), False, id="fetch of the same origin"),
        pytest.param("GET", metadata("no-cors", "document"), False, id="document without navigation"),
        pytest.param("GET", metadata("navigate", "embed"), False, id="embed"),
        pytest.param("GET", metadata("navigate", ""), False, id="no destination"),
        pytest.param("GET", [(b"sec-fetch-site", b"none"), HTML], False, id="half of the metadata"),
        pytest.param("GET", [*metadata("navigate", "document"), (b"sec-fetch-mode", b"cors")], False, id="two modes"),
        pytest.param(
            "GET", [*metadata("navigate", "document"), (b"x-requested-with", b"com.app")], True, id="window of an app"
        ),
        pytest.param(
            "GET", [*metadata("navigate", "document"), (b"range", b"bytes=100-")], False, id="rest of a download"
        ),
        pytest.param("GET", [HTML], True, id="no metadata"),
        pytest.param("GET", [(b"accept", b"Text/HTML")], True, id="no metadata, other case"),
        pytest.param("POST", [HTML], False, id="form without metadata"),
        pytest.param("GET", [(b"accept", b"*/*")], False, id="no metadata, anything accepted"),
        pytest.param("GET", [], False, id="nothing said"),
        pytest.param("GET", [HTML, (b"x-requested-with", b"XMLHttpRequest")], False, id="XMLHttpRequest"),
        pytest.param("GET", [HTML, (b"hx-request", b"true")], False, id="htmx"),
        pytest.param("GET", [HTML, (b"turbo-frame", b"a")], False, id="turbo"),
        pytest.param("GET", [HTML, (b"x-pjax", b"true")], False, id="pjax"),
        pytest.param("GET", [HTML, (b"x-up-version", b"3")], False, id="unpoly"),
    ],
)
def test_only_navigations_request_documents(method: str, headers: RawHeaders, *, asks: bool) -> None:
    assert asks_for_document(method, headers, FetchMetadata.from_headers(headers)) is asks


def answer(content_type: str | None = "text/html; charset=utf-8", **others: str) -> RawHeaders:
    given = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    return [*given, *((name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in others.items())]


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
def test_a_page_is_a_document_with_any_status(status: int) -> None:
    assert read_document(status, answer()) == Document("utf-8")


@pytest.mark.parametrize("status", [101, 204, 205, 206, 301, 302, 303, 304, 307, 308])
def test_an_answer_that_a_browser_does_not_show_is_not_a_document(status: int) -> None:
    assert read_document(status, answer()) is None


@pytest.mark.parametrize(
    "disposition", ["attachment", 'attachment; filename="a.html"', "ATTACHMENT", "x", "", "inlinex", 'filename="a"']
)
def test_an_answer_that_is_not_clearly_inline_is_not_a_document(disposition: str) -> None:
    assert read_document(200, answer(content_disposition=disposition)) is None
    both = [*answer(content_disposition="inline"), (b"content-disposition", disposition.encode())]
    assert read_document(200, both) is None


@pytest.mark.parametrize("disposition", ["inline", "Inline; filename=a.html", " inline ;x=y"])
def test_an_inline_answer_is_a_document(disposition: str) -> None:
    assert read_document(200, answer(content_disposition=disposition)) == Document("utf-8")


@pytest.mark.parametrize(
    "content_type", [None, "", "application/xhtml+xml", "application/json", "text/plain", "image/svg+xml", "text/htm"]
)
def test_an_answer_that_is_not_html_is_not_a_document(content_type: str | None) -> None:
    assert read_document(200, answer(content_type)) is None


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/html", Document(None)),
        ("Text/HTML", Document(None)),
        ("text/html;", Document(None)),
        ("text/html; charset=UTF-8", Document("utf-8")),
        ('text/html ;charset="utf-8" ; x=y', Document("utf-8")),
        ("text/html; charset=utf-8; charset=UTF-8", Document("utf-8")),
        ("text/html; CHARSET=iso-8859-1", Document("single-byte")),
        ("text/html; charset=shift_jis", Document("multi-byte")),
        ("text/html; charset=utf-16", LeftAlone("encoding", "utf-16")),
        ("text/html; charset=iso-2022-jp", LeftAlone("encoding", "iso-2022-jp")),
        ("text/html; charset=utf-7", LeftAlone("encoding", "utf-7")),
        ('text/html; charset=""', LeftAlone("encoding", "")),
        ("text/html; charset=", LeftAlone("content_type")),
        ("text/html; charset='utf-8'", LeftAlone("encoding", "'utf-8'")),
        ("text/html, text/html", LeftAlone("content_type")),
        ("text/html; charset=utf-8, text/plain", LeftAlone("content_type")),
        ("text/html charset=utf-8", LeftAlone("content_type")),
        ("text/htmlx", LeftAlone("content_type")),
        ('text/html; charset="utf-8', LeftAlone("content_type")),
    ],
)
def test_the_content_type_decides_whether_an_answer_is_a_document(
    content_type: str, expected: Document | LeftAlone
) -> None:
    assert read_document(200, answer(content_type)) == expected


def test_an_answer_with_two_encodings_is_not_a_document() -> None:
    read = read_document(200, answer("text/html; charset=utf-8; charset=utf-16"))
    assert isinstance(read, LeftAlone)
    assert read.reason == "encoding"


def test_an_answer_with_two_content_types_is_not_a_document() -> None:
    assert read_document(200, [*answer(), *answer()]) == LeftAlone("content_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", ""])
def test_a_compressed_answer_is_not_changed(coding: str) -> None:
    assert read_document(200, answer(content_encoding=coding)) == LeftAlone("compressed")
    twice = [*answer(content_encoding="identity"), (b"content-encoding", coding.encode())]
    assert read_document(200, twice) == LeftAlone("compressed")


@pytest.mark.parametrize("control", ["no-transform", "private, No-Transform", "no-transform, max-age=5"])
def test_an_answer_with_no_transform_is_not_changed(control: str) -> None:
    assert read_document(200, answer(cache_control=control)) == LeftAlone("no_transform")


def test_a_long_content_type_is_read_quickly() -> None:
    assert read_document(200, answer("text/html" + "; a=b" * 10_000 + '"')) == LeftAlone("content_type")
