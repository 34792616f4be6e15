"""Keep what a session opened out of shared caches (RFC 9111 section 5.2.2); pure, on raw header lists.

An upstream that does not know of the sign-in before it may call its answers public. A browser may still keep them.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.headers import RawHeaders

_DIRECTIVE: Final = re.compile(rb'(?:[^,"]|"[^"]*"?)+')
_FOR_SHARED_CACHES: Final = frozenset({b"public", b"s-maxage", b"private"})
"""Directives that are replaced; `private` too, because `private="name"` speaks of one header alone."""
_OF_SHARED_CACHES: Final = re.compile(rb"surrogate-control|(?:[a-z0-9-]+-)?cdn-cache-control")


def make_private(headers: RawHeaders) -> RawHeaders:
    """Return the headers of a response that one person may keep and no shared cache may."""
    directives: list[bytes] = []
    varies: list[bytes] = []
    kept: RawHeaders = []
    for name, value in headers:
        if name == b"cache-control":
            directives += [part.strip() for part in _DIRECTIVE.findall(value)]
        elif name == b"vary":
            varies += [part.strip() for part in value.split(b",")]
        elif not _OF_SHARED_CACHES.fullmatch(name):
            kept.append((name, value))
    control = [directive for directive in directives if directive and _word(directive) not in _FOR_SHARED_CACHES]
    if b"no-store" not in map(_word, control):
        control.insert(0, b"private")
    if not {b"*", b"cookie"} & {vary.lower() for vary in varies}:
        varies.append(b"Cookie")
    return [*kept, (b"cache-control", b", ".join(control)), (b"vary", b", ".join(filter(None, varies)))]


def _word(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip().lower()
