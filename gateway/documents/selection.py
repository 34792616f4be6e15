"""Decide which requests are navigations, and which of their answers are documents that can take a script. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bff.browser.csrf import FetchMetadata
from gateway.documents.text_encodings import Family, family_of
from gateway.headers.request import RawHeaders

_DOCUMENTS: Final = frozenset({"document", "iframe", "frame"})
_SCRIPTED: Final = re.compile(rb"x-requested-with|hx-.+|turbo-frame|x-turbo-.+|x-pjax|x-up-.+|x-inertia")
"""Headers that scripts send when they ask for a part of a page, for browsers that send no fetch metadata."""
_PARTIAL: Final = frozenset({b"range", b"if-range"})
_MEDIA_TYPE: Final = re.compile(
    rb"""text/html((?:[ \t]*;[ \t]*(?:[!#$%&'*+.^_`|~\w-]+=(?:[^\s";,]+|"[^"\\,]*"))?)*)[ \t]*""", re.ASCII
)
_PARAMETER: Final = re.compile(rb"""([^\s=;]+)=(?:"([^"]*)"|([^\s";]+))""")
_INLINE: Final = re.compile(rb"[ \t]*inline[ \t]*(?:;|\Z)", re.IGNORECASE)
_NO_TRANSFORM: Final = re.compile(rb"(?:\A|[\s,])no-transform(?:\Z|[\s,])", re.IGNORECASE)
_STATUSES_WITHOUT_DOCUMENT: Final = frozenset({204, 205, 206})


@dataclass(frozen=True, slots=True)
class Document:
    """An HTML document, judged by its headers. `family` is that of its encoding, None if they name none."""

    family: Family | None


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """An HTML document that must stay as it is; `reason` is a stable code for the log."""

    reason: str
    detail: str = ""


def asks_for_document(method: str, headers: Iterable[tuple[bytes, bytes]], fetch: FetchMetadata) -> bool:
    """True if a browser asks for something that it will show in a window or a frame.

    Without fetch metadata (old browsers, and plain http) a GET that accepts HTML counts, unless a header shows that a
    script asked. A request for a range of bytes is the rest of a download.
    """
    given = list(headers)
    if any(name in _PARTIAL for name, _ in given):
        return False
    if fetch.site or fetch.mode or fetch.dest:
        return method in ("GET", "POST") and fetch.mode == "navigate" and fetch.dest in _DOCUMENTS
    if method != "GET" or any(_SCRIPTED.fullmatch(name) for name, _ in given):
        return False
    return any(name == b"accept" and b"text/html" in value.lower() for name, value in given)


def read_document(status: int, headers: RawHeaders) -> Document | LeftAlone | None:
    """Return what kind of document an answer is; None if a browser does not show it as an HTML document."""
    if status < 200 or 300 <= status < 400 or status in _STATUSES_WITHOUT_DOCUMENT:
        return None
    if not all(_INLINE.match(value) for value in _all(headers, b"content-disposition")):
        return None
    types = _all(headers, b"content-type")
    if not any(b"text/html" in value.lower() for value in types):
        return None
    if any(value.strip().lower() != b"identity" for value in _all(headers, b"content-encoding")):
        return LeftAlone("compressed")
    if any(_NO_TRANSFORM.search(value) for value in _all(headers, b"cache-control")):
        return LeftAlone("no_transform")
    media_type = _MEDIA_TYPE.fullmatch(types[0].lower()) if len(types) == 1 else None
    return LeftAlone("content_type") if media_type is None else _of_encoding(media_type[1])


def _of_encoding(parameters: bytes) -> Document | LeftAlone:
    named = {quoted or plain for name, quoted, plain in _PARAMETER.findall(parameters) if name == b"charset"}
    if not named:
        return Document(None)
    label = named.pop().decode("latin-1")
    family = None if named else family_of(label)
    return LeftAlone("encoding", label) if family is None else Document(family)


def _all(headers: RawHeaders, name: bytes) -> list[bytes]:
    return [value for candidate, value in headers if candidate == name]
