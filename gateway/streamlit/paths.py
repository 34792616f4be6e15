"""Streamlit's addresses that the gateway knows: the stream, and uploads with their Streamlit session."""

from __future__ import annotations

import re
from typing import Final

STREAM: Final = "/_stcore/stream"
_UPLOAD: Final = re.compile(r"/_stcore/upload_file(?:/([^/]*)|\Z)", re.IGNORECASE)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def is_stream(path: str) -> bool:
    """True for the address of Streamlit's WebSocket, below any base path of the app."""
    return path.endswith(STREAM)


def upload_session(path: str) -> str | None:
    """Return the session id in the canonical path of an upload; None for every other address.

    The app may have a base path, so the address may be anywhere in the path. An upload address whose id can be read in
    several ways, or that has none, gives "", which belongs to nobody.
    """
    found = _UPLOAD.findall(path)
    if not found:
        return None
    return found[0] if len(found) == 1 and is_session_id(found[0]) else ""


def is_session_id(text: str) -> bool:
    return _SESSION_ID.fullmatch(text) is not None
