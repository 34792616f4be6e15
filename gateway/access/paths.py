"""Find the one canonical form of a request path for routing, authorization and forwarding. Refuse ambiguous paths.

If two readers of a URL disagree about its path, a protected page can get out. So a path is a 400 here if an upstream
could read it differently: one that normalises, decodes twice, strips parameters or folds look-alike characters. An
accepted path is forwarded with its own bytes; decoded once, they are the canonical path.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from bff.errors import BadRequest

_SEGMENT: Final = rb"[A-Za-z0-9_~@:=,+!$&'()*-][A-Za-z0-9._~@:=,+!$&'()*-]*"
_PLAIN: Final = re.compile(rb"/(?:%s(?:/%s)*/?)?\Z" % (_SEGMENT, _SEGMENT))
"""The path of most requests: nothing is encoded, and no segment starts with a dot."""
_NOT_IN_A_PATH: Final = re.compile(rb"[^!$-:=@-\[\]-~]")
"""Everything that is not printable ASCII, and the space, `"`, `#`, `;`, `<`, `>`, `?` and backslash."""
_NOT_IN_A_QUERY: Final = re.compile(rb'[^!"$-~]')
_BAD_OR_HIDDEN: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})|%2[Ff]")
"""A broken escape, or an encoded slash: some programs decode before they split the path, some after."""
_AMBIGUOUS: Final = re.compile("[\x00-\x1f\x7f-\x9f\\\\;?#\u2028\u2029\uff01-\uff5e]|%[0-9A-Fa-f]{2}|//")
"""In the decoded path: controls, delimiters, fullwidth ASCII, a second encoding, empty segments."""
_SYNTAX: Final = frozenset("/\\.;%?#")


def canonical_path(raw_path: bytes) -> str:
    """Decode `raw_path` (the request-target up to `?`) exactly once.

    Raises:
        BadRequest: `ambiguous_path`, if two readers could disagree about the result.
    """
    if _PLAIN.match(raw_path):
        return raw_path.decode("ascii")
    if not raw_path.startswith(b"/") or _NOT_IN_A_PATH.search(raw_path) or _BAD_OR_HIDDEN.search(raw_path):
        raise _ambiguous("characters or escapes")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise _ambiguous("not UTF-8") from None
    if _AMBIGUOUS.search(path):
        raise _ambiguous("delimiters, controls or double encoding")
    if any(_is_trimmed_or_dots(segment) for segment in path.split("/")):
        raise _ambiguous("dot segment or edge space")
    if not path.isascii() and any(_folds_into_syntax(character) for character in path):
        raise _ambiguous("look-alike of path syntax")
    return path


def forward_target(raw_path: bytes, query_string: bytes, *, strip_prefix: str = "") -> bytes:
    """Build the request-target for the upstream from the client's own bytes.

    `raw_path` has passed `canonical_path`, so it has the same segments as the canonical path. `strip_prefix`
    (canonical, with or without a trailing slash) is removed segment by segment.

    Raises:
        BadRequest: `ambiguous_query` for bytes that a query cannot hold, `ambiguous_path` if the prefix is absent.
    """
    target = _without_prefix(raw_path, strip_prefix.strip("/")) if strip_prefix else raw_path
    if not query_string:
        return target
    if _NOT_IN_A_QUERY.search(query_string):
        raise BadRequest("ambiguous_query")
    return target + b"?" + query_string


def _without_prefix(raw_path: bytes, prefix: str) -> bytes:
    if not prefix:
        return raw_path
    count = prefix.count("/") + 1
    _, *segments = raw_path.split(b"/", count + 1)
    if unquote_to_bytes(b"/".join(segments[:count])).decode("utf-8", "replace") != prefix:
        raise _ambiguous("outside of the prefix")
    return b"/" + b"".join(segments[count:])


def _is_trimmed_or_dots(segment: str) -> bool:
    """True for `.`, `..`, `...` and for names that some file systems trim into another name."""
    return segment != segment.strip() or (segment.startswith(".") and not segment.strip("."))


def _folds_into_syntax(character: str) -> bool:
    """True if compatibility normalisation (NFKC) turns a non-ASCII character into a dot, slash or delimiter."""
    return not character.isascii() and not _SYNTAX.isdisjoint(unicodedata.normalize("NFKC", character))


def _ambiguous(detail: str) -> BadRequest:
    return BadRequest("ambiguous_path", detail=detail)
