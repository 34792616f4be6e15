"""Mask the secret part of addresses in logs: some addresses open something for everybody who knows them.

| address | opens |
|---|---|
| `/media/<id>` | a file that a Streamlit page offers, for everybody on its route |
| `/_stcore/upload_file/<session>/<file>` | an upload, and with the session id a page's whole state |
| `/auth/kit/state/<id>` | names what a page keeps for a person |

A log line may hold paths that were refused because two readers could disagree about them. So a path is read here as a
very lenient reader would read it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

MASK: Final = "*"
_ADDRESS: Final = r"/(?:media|_stcore(?![^/;])[^\s]{0,64}?/upload_file|kit(?:;[^/]*)?/+state)(?:;[^/]*)?/+"
_IN_PATH: Final = re.compile(_ADDRESS, re.IGNORECASE)
_IN_TEXT: Final = re.compile(rf"({_ADDRESS})[^\s\"'<>)\],]+", re.IGNORECASE)
_NEEDS_READING: Final = re.compile(r"[%\\\x00-\x20]|[^\x00-\x7f]")
_NOT_READ: Final = re.compile(r"[\x00-\x20\x7f]")
_WORTH_A_LOOK: Final = re.compile(r"media|upload_file|state/|session", re.IGNORECASE)
_MEDIA_ID: Final = re.compile(r"\b[0-9a-f]{32,128}\b(?:\.\w{1,16})?")
"""Streamlit names a file by a hash of its content."""
_STREAMLIT_ID: Final = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)
_DECODINGS: Final = 3


def mask_path(path: str) -> str:
    """Replace the secret part of `path` with `*`. `path` is a raw request path, decoded as Latin-1, without query."""
    read = "/" + (_read_leniently(path) if _NEEDS_READING.search(path) else path).removeprefix("/")
    found = _IN_PATH.search(read)
    return read[: found.end()] + MASK if found and found.end() < len(read) else path


def mask_text(text: str) -> str:
    """Mask the same parts of addresses in `text`, a log line, and also Streamlit's session and media ids."""
    if not _WORTH_A_LOOK.search(text):
        return text
    masked = _IN_TEXT.sub(rf"\1{MASK}", text)
    if "media" in masked.lower():
        masked = _MEDIA_ID.sub(MASK, masked)
    return _STREAMLIT_ID.sub(MASK, masked) if "session" in masked.lower() else masked


def _read_leniently(path: str) -> str:
    read = path.encode("latin-1", "replace").decode("utf-8", "replace")
    for _ in range(_DECODINGS):
        decoded = unquote(read, errors="replace")
        if decoded == read:
            break
        read = decoded
    return _NOT_READ.sub("", unicodedata.normalize("NFKC", read).replace("\\", "/"))
