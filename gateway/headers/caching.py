"""Keep what a session opened out of shared caches (RFC 9111 section 5.2.2); pure, on raw header lists.

An upstream that does not know of the sign-in before it may call its answers public. A browser may still keep them.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.headers.request import RawHeaders

_DIRECTIVE: Final = re.compile(rb'(?:[^,"]|"[^"]*"?)+')
_FOR_SHARED_CACHES: Final = frozenset({b"public", b"s-maxage", b"private"})
"""Directives that are replaced; `private` too, because `private="name"` speaks of one header alone."""
_OF_SHARED_CACHES: Final = re.compile(
    rb"surrogate-control|(?:[a-z0-9-]+-)?cdn-cache-control|edge-control|cf-edge-cache|netlify-vary"
)
"""The words of CDNs, which outrank `Cache-Control` there (Akamai, Cloudflare, Fastly, Netlify and others)."""


def make_private(headers: RawHeaders) -> RawHeaders:
    """Return the headers of a response that one person may keep and no shared cache may."""
    directives: list[bytes] = []
    kept: RawHeaders = []
    for name, value in headers:
        if name == b"cache-control":
            directives += [part.strip() for part in _DIRECTIVE.findall(value)]
        elif not _OF_SHARED_CACHES.fullmatch(name):
            kept.append((name, value))
    control = [directive for directive in directives if directive and _word(directive) not in _FOR_SHARED_CACHES]
    # First, and beside `no-store` too: what an open quotation mark hides from one reader, it does not hide from all.
    return vary_by([*kept, (b"cache-control", b", ".join([b"private", *control]))], b"Cookie")


def vary_by(headers: RawHeaders, *names: bytes) -> RawHeaders:
    """Return `headers` with one `Vary`, which names `names` too: nginx before 1.23 goes by the last line alone."""
    varies = [part.strip() for name, value in headers if name == b"vary" for part in value.split(b",")]
    known = {vary.lower() for vary in varies}
    if b"*" not in known:
        varies += [name for name in names if name.lower() not in known]
    kept = [header for header in headers if header[0] != b"vary"]
    return [*kept, (b"vary", b", ".join(filter(None, varies)))] if varies else kept


def _word(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip().lower()
