"""Engine.IO, the transport below Socket.IO: which of its traffic its library makes by itself. Pure.

A tab keeps its connection alive all night: it answers pings, asks again for the next messages, and connects again after
a break. Only its messages can be a person's act. See the Engine.IO protocol, versions 3 and 4.
"""

from __future__ import annotations

import re
from typing import Final

_VERSION: Final = re.compile(rb"(?:^|&)EIO=([0-9]+)(?:&|$)")
_POLLING: Final = re.compile(rb"(?:^|&)transport=polling(?:&|$)")
_OWN_PACKET: Final = re.compile(r"[12356]|[23]probe")
"""Packets without a message: close, ping, pong, upgrade, noop, and the probe of an upgrade."""
_LONGEST: Final = len("2probe")
_SHORTEST_MESSAGE: Final = {b"3": len("1:4x"), b"4": len("4x")}
"""Bytes of a POST that can hold a message. Version 3 writes the length of each packet before it."""


def is_engine_io(query: bytes) -> bool:
    """True if a request with this query speaks Engine.IO."""
    return _VERSION.search(query) is not None


def is_own_request(method: str, query: bytes, *, length: int | None, is_socket: bool = False) -> bool:
    """True for a handshake, for a poll, and for a POST of `length` bytes that is too short for a message."""
    version = _VERSION.search(query)
    if version is None:
        return False
    if is_socket:
        return True
    if not _POLLING.search(query):
        return False
    if method == "GET":
        return True
    return method == "POST" and length is not None and length < _SHORTEST_MESSAGE.get(version[1], 0)


def is_own_packet(text: str) -> bool:
    """True if the text message is a packet that the library sends by itself."""
    return len(text) <= _LONGEST and _OWN_PACKET.fullmatch(text) is not None
