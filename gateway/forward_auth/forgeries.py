"""Headers of a client that would turn the request into another one behind the proxy. Pure.

The front door drops these headers. Here the proxy sends the request on by itself, with what its client wrote. So a
question that has one of them is refused. No browser sends them, and no page of another site can.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from gateway.headers.request import is_own_identity

_OVERRIDES: Final = frozenset(
    {
        b"x-http-method",
        b"x-http-method-override",
        b"x-http-path-override",
        b"x-method-override",
        b"x-override-url",
    }
)
"""Frameworks take method or address from these, after the decision about another method or address."""
_SIGN: Final = re.compile(rb"[^0-9a-z-]")
_MOST_SHOWN: Final = 60


def find_forgery(headers: Iterable[tuple[bytes, bytes]], *, owned: Collection[bytes] = ()) -> str:
    """Return why a question cannot be answered; "" if nothing is wrong, as with nearly all.

    `headers` have names in lower case. `owned` are the names that routes add (`claim_headers`, `assertion_header`).
    """
    for name, value in headers:
        if name == b"upgrade" and value.strip().lower() != b"websocket":
            return "Upgrade: only WebSockets may change the protocol, or the next requests are not asked about"
        if why := _fault_of(name):
            return why
        if owned and _SIGN.search(name) and _SIGN.sub(b"-", name) in owned:
            return _another_spelling(name)
    return ""


@lru_cache(maxsize=4096)
def _fault_of(name: bytes) -> str:
    if name == b"http2-settings":
        return "HTTP2-Settings: over h2c the next requests would not be asked about"
    plain = _SIGN.sub(b"-", name)
    if plain in _OVERRIDES:
        return f"{_shown(name)}: the application would serve another method or address than the one decided about"
    return _another_spelling(name) if plain != name and is_own_identity(plain) else ""


def _another_spelling(name: bytes) -> str:
    return f"{_shown(name)}: applications read it as a header of the identity, and the proxy does not replace it"


def _shown(name: bytes) -> str:
    return name[:_MOST_SHOWN].decode("ascii", "backslashreplace")
