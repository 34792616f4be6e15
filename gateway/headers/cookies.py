"""Keep the gateway's own cookies out of upstream requests and out of upstream responses. Pure.

Names are read leniently here, so that even a very lenient upstream cannot find a gateway cookie in what is left. White
space, controls, quotes and non-ASCII bytes around a name are ignored, and so are case and percent-encoding; a comma may
separate cookies, and `name[key]` counts as `name` (PHP). Apart from that, an upstream may use every name that browsers
take. `bff.browser.cookies` reads the session cookie, and does that strictly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from bff import contract

_EDGES: Final = bytes(range(0x21)) + b"\"'=$" + bytes(range(0x7F, 0x100))
_OWN_NAME: Final = contract.INSECURE_SESSION_COOKIE.encode()
_PREFIXES: Final = (b"__host-", b"__secure-")
_LISTABLE: Final = re.compile(rb"[!#-+\-./0-9:<>-\[\]-~]+\Z")
"""Names that globs may list, because every reader takes them for one name: ASCII without blanks, `"`, `,`, `;`, `=` and
`\\`."""
_BETWEEN_COOKIES: Final = re.compile(rb"[\x00-\x20,]+")
"""What some reader takes for the end of a cookie, apart from the semicolon."""
_DECODINGS: Final = 3
DropReason = Literal["own_name", "nameless", "domain"]


@dataclass(frozen=True, slots=True)
class RefusedCookie:
    """A cookie that an upstream may not set, and why. `domain` is the foreign `Domain`, "" if it has none."""

    name: bytes
    reason: DropReason
    domain: bytes = b""


def is_gateway_cookie(name: bytes) -> bool:
    """True when a lenient reader could take `name` for the session or a transaction cookie, prefixed or not."""
    for _ in range(_DECODINGS):
        name = unquote_to_bytes(name)
    bare = name.partition(b"[")[0].strip(_EDGES).replace(b".", b"_").replace(b" ", b"_").lower()
    for prefix in _PREFIXES:
        bare = bare.removeprefix(prefix)
    return bare == _OWN_NAME or bare.startswith(_OWN_NAME + b"-")


def strip_gateway_cookies(cookie_header: bytes) -> bytes:
    """Return a Cookie header value without the gateway's cookies, otherwise unchanged; `b""` if no cookie is left."""
    if b"%" not in cookie_header and _OWN_NAME not in cookie_header.lower():
        return cookie_header
    pieces = cookie_header.split(b";")
    kept = [piece for piece in pieces if not _holds_gateway_cookie(piece)]
    if len(kept) == len(pieces):
        return cookie_header
    remaining = b";".join(kept).lstrip(b" \t")
    return remaining if remaining.strip() else b""


def select_cookies(cookie_header: bytes, forward: Literal["all"] | Sequence[str]) -> bytes:
    """Return the cookies whose exact name matches a glob of `forward`. Call this after `strip_gateway_cookies`."""
    stripped = strip_gateway_cookies(cookie_header)
    if forward == "all":
        return stripped
    globs = tuple(forward)
    return b"; ".join(piece.strip(b" \t") for piece in stripped.split(b";") if _is_listed(piece, globs))


def settable_cookie(set_cookie: bytes, *, host: str) -> bytes | RefusedCookie:
    """Return the cookie as an upstream may set it for `host`, the request's host name without its port.

    It then belongs only to that host: a `Domain` that names the host, or nothing, is removed. Everything else stays as
    it is. A cookie for another domain, without a name, or with a name of ours is refused.
    """
    pair, *attributes = set_cookie.split(b";")
    name, equals, _ = pair.partition(b"=")
    name = name.strip(b" \t")
    if not equals or not name.strip(_EDGES):
        return RefusedCookie(name if equals else b"", "nameless")
    if any(_holds_gateway_cookie(part) for part in (pair, *_BETWEEN_COOKIES.split(pair))):
        return RefusedCookie(name, "own_name")
    kept = [pair]
    for attribute in attributes:
        key, _, value = attribute.partition(b"=")
        if key.strip(_EDGES).lower() != b"domain":
            kept.append(attribute)
        elif not _is_host(value.strip(b' \t"'), host):
            return RefusedCookie(name, "domain", value.strip())
    return b";".join(kept)


def _is_host(domain: bytes, host: str) -> bool:
    """True for the host itself and for an empty domain, which means the same (RFC 6265 section 5.2.3)."""
    return domain.lower().removeprefix(b".") in (b"", host.lower().encode("ascii", "replace"))


def _holds_gateway_cookie(piece: bytes) -> bool:
    return any(is_gateway_cookie(part.lstrip(_EDGES).partition(b"=")[0]) for part in piece.split(b","))


def _is_listed(piece: bytes, globs: tuple[str, ...]) -> bool:
    name, equals, _ = piece.strip(b" \t").partition(b"=")
    return bool(equals) and _LISTABLE.match(name) is not None and _matches(name, globs)


@lru_cache(maxsize=1024)
def _matches(name: bytes, globs: tuple[str, ...]) -> bool:
    text = name.decode("ascii")
    return any(fnmatchcase(text, glob) for glob in globs)
