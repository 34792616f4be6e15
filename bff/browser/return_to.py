"""Check where a person may go after sign-in or sign-out: a local path, or an exactly configured origin. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from urllib.parse import unquote, urlsplit

from bff.browser.path_readings import CONTROL, decode

MAX_RETURN_TO = 8192
"""Bytes of a target, decoded: as long as the longest address of a page."""
PRINTABLE = re.compile(r"[!-~]+")
FORBIDDEN_SEGMENTS = frozenset({".", ".."})


def local_target(
    text: str, *, own_origin: str, allowed: Callable[[str], bool], named: Collection[str] = (), fallback: str = "/"
) -> str:
    """Return `text` as a local path with query if it is safe, else `fallback`.

    An absolute URL of exactly `own_origin` counts as its path. `allowed` gets the decoded path without query and says
    whether it is a page (sign-in endpoints, APIs and uploads are not). `named` paths must have exactly this spelling.
    The fragment is dropped.
    """
    path = _relative(text, own_origin)
    raw = path.partition("?")[0]
    return path if _is_local(path) and (raw in named or allowed(unquote(raw))) else fallback


def is_local(text: str, *, own_origin: str) -> bool:
    """True for a path of this origin, whether it is a page or not."""
    return _is_local(_relative(text, own_origin))


def _relative(text: str, own_origin: str) -> str:
    path = text.removeprefix(own_origin) if text.startswith(own_origin + "/") else text
    return path.partition("#")[0]


def _is_local(text: str) -> bool:
    """True if every browser keeps the path on this origin: as it is, and percent-decoded up to three times."""
    path = text.partition("?")[0]
    if len(text) > MAX_RETURN_TO or not PRINTABLE.fullmatch(text) or "\\" in path or not _decodes(path):
        return False
    for _ in range(4):
        if not _is_plain_path(path) or not _is_plain_path(unicodedata.normalize("NFKC", path)):
            return False
        decoded = decode(path)  # a broken escape stays: `100%25.txt` is a name
        if decoded == path:
            return True
        path = decoded
    return False


def _decodes(path: str) -> bool:
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        return False
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _is_plain_path(path: str) -> bool:
    path = path.replace("\\", "/")
    if not path.startswith("/") or path.startswith("//") or CONTROL.search(path):
        return False
    segments = path.split("/")[1:]
    if any(segment in FORBIDDEN_SEGMENTS or segment.split(";")[0] in FORBIDDEN_SEGMENTS for segment in segments):
        return False
    return "" not in segments[:-1] and not segments[0].startswith((";", "@"))


def is_allowed_origin_target(url: str, origins: Iterable[str]) -> bool:
    """True for an absolute URL whose scheme, host and port equal one of `origins`: no user info, no fragment."""
    if len(url) > MAX_RETURN_TO or not PRINTABLE.fullmatch(url) or "\\" in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.fragment or not parts.hostname:
        return False
    if parts.path and not _is_local(parts.path):
        return False
    return f"{parts.scheme}://{parts.netloc}" in {origin.rstrip("/") for origin in origins}
