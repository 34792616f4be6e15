"""Keep answers to signed-in people out of shared caches (RFC 9111 section 5.2.2). Pure, on raw header lists.

An upstream that does not know about the sign-in may mark its answers as public. A browser may still store them.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.headers.request import RawHeaders

_DIRECTIVE: Final = re.compile(rb'(?:[^,"]|"[^"]*"?)+')
_FOR_SHARED_CACHES: Final = frozenset({b"public", b"s-maxage", b"private"})
"""Directives that are replaced; `private` too, because `private="name"` is only about one header."""
_OF_SHARED_CACHES: Final = re.compile(
    rb"surrogate-control|(?:[a-z0-9-]+-)?cdn-cache-control|edge-control|cf-edge-cache|netlify-vary"
)
"""Headers for CDNs, which come before `Cache-Control` there (Akamai, Cloudflare, Fastly, Netlify and others)."""


def make_private(headers: RawHeaders) -> RawHeaders:
    """Return headers with which the person's browser may store the response and a shared cache may not."""
    directives: list[bytes] = []
    kept: RawHeaders = []
    for name, value in headers:
        if name == b"cache-control":
            directives += [part.strip() for part in _DIRECTIVE.findall(value)]
        elif not _OF_SHARED_CACHES.fullmatch(name):
            kept.append((name, value))
    control = [directive for directive in directives if directive and _word(directive) not in _FOR_SHARED_CACHES]
    # This comes first, and beside `no-store` too: after an open quotation mark some readers would not see it.
    return vary_by([*kept, (b"cache-control", b", ".join([b"private", *control]))], b"Cookie")


def vary_by(headers: RawHeaders, *names: bytes) -> RawHeaders:
    """Return `headers` with one `Vary` that includes `names`: nginx before 1.23 reads only the last `Vary` line."""
    varies = [part.strip() for name, value in headers if name == b"vary" for part in value.split(b",")]
    known = {vary.lower() for vary in varies}
    if b"*" not in known:
        varies += [name for name in names if name.lower() not in known]
    kept = [header for header in headers if header[0] != b"vary"]
    return [*kept, (b"vary", b", ".join(filter(None, varies)))] if varies else kept


def _word(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip().lower()
