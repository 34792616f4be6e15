"""Which of Streamlit's browser messages a person caused. Reads two fields of the protobuf wire format, nothing more.

A page with `run_every` or a heartbeat talks all night; only real actions keep a session from its idle end.
"""

from __future__ import annotations

from collections.abc import Iterator

RERUN_SCRIPT = 11
APP_HEARTBEAT = 17
IS_AUTO_RERUN = 6


def is_user_action(message: bytes) -> bool:
    """False for heartbeats and automatic reruns (`ClientState.is_auto_rerun`); unreadable counts as action."""
    try:
        for field, value in _fields(message):
            if field == APP_HEARTBEAT:
                return False
            if field == RERUN_SCRIPT and isinstance(value, memoryview):
                return not any(inner == IS_AUTO_RERUN and flag == 1 for inner, flag in _fields(value))
    except (IndexError, ValueError):
        return True
    return True


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    view, at = memoryview(data), 0
    while at < len(view):
        tag, at = _varint(view, at)
        match tag & 7:
            case 0:
                value, at = _varint(view, at)
                yield tag >> 3, value
            case 1:
                at += 8
            case 2:
                length, at = _varint(view, at)
                if at + length > len(view):
                    raise ValueError("truncated")
                yield tag >> 3, view[at : at + length]
                at += length
            case 5:
                at += 4
            case _:
                raise ValueError("unknown wire type")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
