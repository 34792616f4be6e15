"""Where a browser goes for a Location value: the WHATWG URL parser as far as the origin depends on it."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
SPECIAL = frozenset({"http", "https", "ws", "wss", "ftp"})
OPAQUE = "opaque"
"""Stands for javascript:, data:, file: and the like: never this origin."""


def origin_of(target: str, *, base: str) -> str:
    """The origin a browser at `base` (scheme://host) ends on when it follows `target`."""
    base_scheme = base.partition(":")[0]
    text = target.strip("".join(map(chr, range(0x21))))
    text = text.translate({9: None, 10: None, 13: None})
    found = _SCHEME.fullmatch(text)
    if found is None:
        return _origin(base_scheme, _skip_slashes(text), base) if _starts_authority(text) else base
    scheme, rest = found[1].lower(), found[2]
    if scheme not in SPECIAL:
        return OPAQUE
    if scheme == base_scheme and not _starts_authority(rest):
        return base  # "https:evil.com" is a relative path
    return _origin(scheme, _skip_slashes(rest), base)


def _starts_authority(text: str) -> bool:
    return len(text) > 1 and text[0] in "/\\" and text[1] in "/\\"


def _skip_slashes(text: str) -> str:
    return text.lstrip("/\\")


def _origin(scheme: str, rest: str, base: str) -> str:
    authority = re.split(r"[/\\?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    host = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower()
    origin = f"{scheme}://{host}"
    return origin if origin != base else base
