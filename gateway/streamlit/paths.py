"""Streamlit's addresses that matter here: the stream, and uploads with the Streamlit session they go into."""

from __future__ import annotations

import re
from typing import Final

STREAM: Final = "/_stcore/stream"
_UPLOAD: Final = re.compile(r"/_stcore/upload_file(?:/([^/]*)|\Z)", re.IGNORECASE)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def is_stream(path: str) -> bool:
    """True for the address of Streamlit's WebSocket, below whatever path the app has."""
    return path.endswith(STREAM)


def upload_session(path: str) -> str | None:
    """The session id in the canonical path of an upload; None for every other address.

    The app may lie below a path of its own, so the address is looked for anywhere. An address of uploads without one
    id that can be read in one way gives "", which is nobody's.
    """
    found = _UPLOAD.findall(path)
    if not found:
        return None
    return found[0] if len(found) == 1 and is_session_id(found[0]) else ""


def is_session_id(text: str) -> bool:
    return _SESSION_ID.fullmatch(text) is not None
