"""Read the few fields of Streamlit's messages that the gateway needs, from the protobuf wire format.

From the browser's messages it reads whether a person caused them. A page with `run_every` or a heartbeat sends messages
all night, and only real actions may extend a session. From the app's messages it reads the Streamlit session that they
announce.

Messages may have hundreds of megabytes, and this code runs on the event loop. So it looks at a bounded number of bytes,
whatever the size: long values are skipped by their stated length, and the numbers before them come out of a `_Budget`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.streamlit.paths import is_session_id

RERUN_SCRIPT = 11
APP_HEARTBEAT = 17
IS_AUTO_RERUN = 6

MOST_BYTES_READ = 1000
"""At most this many bytes of a message are looked at (and the few that end a number). A real one needs about 30."""
PREFIX_BYTES = 1024
"""Both announcements have the session id within their first 250 bytes, in Streamlit 1.61 to 1.67."""
HASH, METADATA = 1, 2
NEW_SESSION = 4
INITIALIZE = 1
SESSION_ID = 6
FILE_URLS_RESPONSE = 19
FILE_URLS = 2
UPLOAD_URL = 2
UPLOAD_ADDRESS = re.compile(r"(?:/[^/?#]+)*/_stcore/upload_file/([^/?#]+)/[^/?#]+")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message in which the app tells the browser its Streamlit session. Some also contain addresses for uploads."""

    session_id: str
    hands_out_address: bool = False


class _Budget:
    """How many bytes of one message may still be looked at."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_BYTES_READ

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError("too many fields")


def is_user_action(message: bytes) -> bool:
    """False for heartbeats and automatic reruns (`ClientState.is_auto_rerun`). An unreadable message counts as
    action."""
    budget = _Budget()
    try:
        for field, value in _fields(message, budget):
            if field == APP_HEARTBEAT:
                return False
            if field == RERUN_SCRIPT and isinstance(value, memoryview):
                return not any(inner == IS_AUTO_RERUN and flag == 1 for inner, flag in _fields(value, budget))
    except (IndexError, ValueError):
        return True
    return True


def read_announcement(message: bytes) -> Announcement | None:
    """Read what a message of the app (`ForwardMsg`) announces from its first `PREFIX_BYTES`. Most announce nothing:
    None.

    Two messages contain the session id: `new_session`, when the script begins to run, and `file_urls_response`, with
    the address of each upload.
    """
    budget = _Budget()
    try:
        if not _may_announce(message):
            return None
        for field, value in _fields(memoryview(message)[:PREFIX_BYTES], budget, is_cut=True):
            if field in (HASH, METADATA):
                continue
            if field == NEW_SESSION:
                return _announced(_text(value, INITIALIZE, SESSION_ID, budget=budget))
            if field == FILE_URLS_RESPONSE:
                address = UPLOAD_ADDRESS.fullmatch(_text(value, FILE_URLS, UPLOAD_URL, budget=budget))
                return _announced(address[1] if address else "", hands_out_address=True)
            return None
    except (IndexError, ValueError):
        return None
    return None


def _may_announce(message: bytes) -> bool:
    """Say no quickly for most messages: skip the short fields at the start, and look at the tag after them."""
    at = 0
    while at < PREFIX_BYTES and message[at] in (HASH << 3 | 2, METADATA << 3 | 2):
        length = message[at + 1]
        if length > 0x7F:
            return True
        at += 2 + length
    return at < PREFIX_BYTES and message[at] in (NEW_SESSION << 3 | 2, 0x80 | (FILE_URLS_RESPONSE << 3 | 2) & 0x7F)


def _announced(session_id: str, *, hands_out_address: bool = False) -> Announcement | None:
    return Announcement(session_id, hands_out_address) if is_session_id(session_id) else None


def _text(message: int | memoryview, inner: int, leaf: int, *, budget: _Budget) -> str:
    """Return the text `leaf` of the first message `inner` in `message`, "" if it is not completely there."""
    for field, value in _fields(message, budget, is_cut=True) if isinstance(message, memoryview) else ():
        if field == inner and isinstance(value, memoryview):
            found = (text for number, text in _fields(value, budget) if number == leaf and isinstance(text, memoryview))
            return str(next(found, b""), "utf-8")
    return ""


def _fields(
    data: bytes | memoryview, budget: _Budget, *, is_cut: bool = False
) -> Iterator[tuple[int, int | memoryview]]:
    """Yield field numbers and values. In a message that `is_cut`, the last value is the part that is left."""
    view, at = memoryview(data), 0
    while at < len(view):
        tag, at = _varint(view, at, budget)
        if not tag >> 3:
            raise ValueError("no field has the number 0")
        match tag & 7:
            case 0:
                value, at = _varint(view, at, budget)
                yield tag >> 3, value
            case 1:
                at += 8
            case 2:
                length, at = _varint(view, at, budget)
                if at + length > len(view) and not is_cut:
                    raise ValueError("truncated")
                yield tag >> 3, view[at : at + length]
                at += length
            case 5:
                at += 4
            case _:
                raise ValueError("unknown wire type")


def _varint(view: memoryview, at: int, budget: _Budget) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            budget.spend(shift // 7 + 1)
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
