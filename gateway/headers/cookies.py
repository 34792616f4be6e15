"""Keep the gateway's own cookies out of upstream requests and out of upstream responses. Pure.

Names are read leniently here, so that even a very lenient upstream cannot find a gateway cookie in what is left. White
space, controls, quotes and non-ASCII bytes around a name are ignored, and so are case and percent-encoding; a comma may
separate cookies. `bff.browser.cookies` reads the session cookie, and does that strictly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from bff import contract

_EDGES: Final = bytes(range(0x21)) + b"\"'=$" + bytes(range(0x7F, 0x100))
_OWN_NAME: Final = contract.INSECURE_SESSION_COOKIE.encode()
_PREFIXES: Final = (b"__host-", b"__secure-")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def is_gateway_cookie(name: bytes) -> bool:
    """True when a lenient reader could take `name` for the session or a transaction cookie, prefixed or not."""
    bare = unquote_to_bytes(name).strip(_EDGES).replace(b".", b"_").replace(b" ", b"_").lower()
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


def is_settable(set_cookie: bytes) -> bool:
    """True when an upstream may set this cookie: it has a name that is not the gateway's, and no `Domain` attribute."""
    pair, *attributes = set_cookie.split(b";")
    name, equals, _ = pair.partition(b"=")
    if not equals or not _TOKEN.match(name.strip(b" \t")) or _holds_gateway_cookie(pair):
        return False
    return not any(attribute.partition(b"=")[0].strip(_EDGES).lower() == b"domain" for attribute in attributes)


def _holds_gateway_cookie(piece: bytes) -> bool:
    return any(is_gateway_cookie(part.lstrip(_EDGES).partition(b"=")[0]) for part in piece.split(b","))


def _is_listed(piece: bytes, globs: tuple[str, ...]) -> bool:
    name, equals, _ = piece.strip(b" \t").partition(b"=")
    return bool(equals) and _TOKEN.match(name) is not None and _matches(name, globs)


@lru_cache(maxsize=1024)
def _matches(name: bytes, globs: tuple[str, ...]) -> bool:
    text = name.decode("ascii")
    return any(fnmatchcase(text, glob) for glob in globs)
