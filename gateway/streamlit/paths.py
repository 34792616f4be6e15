"""Streamlit's addresses that the gateway knows: the stream, uploads with their session, and what is closed."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Final

from bff.browser.path_readings import fold
from bff.settings.tables import RouteSettings

STREAM: Final = "/_stcore/stream"
QUIET: Final = ("/_stcore/health", "/_stcore/host-config", "/_stcore/script-health-check")
_DENIED: Final = ("/_stcore/metrics", "/_stcore/agent")
_CALLBACK: Final = "/oauth2callback"
_IS_SPECIAL: Final = re.compile(r"/_stcore/|/oauth2callback", re.IGNORECASE)
_UPLOAD: Final = re.compile(r"/_stcore/upload_file(?:/([^/]*)|\Z)", re.IGNORECASE)
_SESSION_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def is_stream(path: str) -> bool:
    """True for the address of Streamlit's WebSocket, below any base path of the app.

    Streamlit before 1.59 opens it with a slash at the end as well.
    """
    return path.rstrip("/").endswith(STREAM)


def is_denied(path: str, route: RouteSettings) -> bool:
    """True for Streamlit's metrics, agent interface and own OAuth callback, which no browser needs.

    Other applications may have pages under these names: only routes of `framework = "streamlit"` close them.
    """
    if route.framework != "streamlit":
        return False
    rest = "/" + path.removeprefix(route.path.rstrip("/")).lstrip("/")
    if (rest + "/").startswith(_CALLBACK + "/"):
        return True
    return any(f"{denied}/" in rest + "/" for denied in _DENIED)  # the app may have a base path


def treatment(path: str, route: RouteSettings) -> Hashable:
    """Return what the gateway does to `path` of `route` besides passing it on; None for most paths.

    Two paths with different treatments are different places: no reader may take one for the other.
    """
    if route.kind != "page" or not _IS_SPECIAL.search(path):
        return None
    upload = upload_session(path)
    marks = (is_denied(path, route), path.endswith(QUIET), is_stream(path), None if upload is None else fold(upload))
    return None if marks == (False, False, False, None) else marks


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
