"""Find the one canonical form of a request path for routing, authorization and forwarding. Refuse ambiguous paths.

If two readers of a URL disagree about its path, a protected page can get out. So every reading of a path
(`bff.browser.path_readings`) must lead to the same place, and none may hold a dot segment or a control character. An
accepted path is forwarded with its own bytes; decoded once, they are the canonical path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Final
from urllib.parse import unquote_to_bytes

from bff.browser.path_readings import CONTROL, DOT_SEGMENT, TooManyReadings, decode, fold, readings
from bff.errors import BadRequest

MESSAGE: Final = "Programs can read this address in more than one way."
_SEGMENT: Final = rb"[A-Za-z0-9_~@:=,+!$&'()*-](?:[A-Za-z0-9._~@:=,+!$&'()*-]*[A-Za-z0-9_~@:=,+!$&'()*-])?"
_PLAIN: Final = re.compile(rb"/(?:%s(?:/%s)*/?)?\Z" % (_SEGMENT, _SEGMENT))
"""The path of most requests: nothing is encoded, and no segment starts or ends with a dot. It has one reading."""
_NOT_IN_A_PATH: Final = re.compile(rb'[^!-~]|["#<>?\\]')
"""What must be percent-encoded: all but printable ASCII, and the space, `"`, `#`, `<`, `>`, `?` and the backslash."""
_NOT_IN_A_QUERY: Final = re.compile(rb'[^!"$-~]')
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH: Final = re.compile(rb"%(?:2[Ff]|5[Cc])")
_LEADS_AWAY: Final = ("//", "/\\")

PlaceOf = Callable[[str], Hashable]
"""Says what is special about a path: its route, a reserved name. Paths below the last name that counts are equal."""


class AmbiguousPath(BadRequest):
    """A path that may not pass. `detail` is the reason, and `reading` the reading that has the fault, "" if any has.

    A reading is the client's own text: it is for the operator's eyes, and belongs into no log line or message.
    """

    default_code = "ambiguous_path"

    def __init__(self, *, reason: str, reading: str = "", leads_elsewhere: bool = False) -> None:
        self.reading, self.leads_elsewhere = reading, leads_elsewhere
        super().__init__(message=f"{MESSAGE} Reason: {reason}.", detail=reason)


def canonical_path(raw_path: bytes) -> str:
    """Decode `raw_path` (the request-target up to `?`) exactly once.

    Raises:
        BadRequest: `ambiguous_path`, if it holds what no path may hold.
    """
    if _PLAIN.match(raw_path):
        return raw_path.decode("ascii")
    if not raw_path.startswith(b"/"):
        raise AmbiguousPath(reason="it does not start with a slash")
    if _NOT_IN_A_PATH.search(raw_path):
        raise AmbiguousPath(reason="a character that must be percent-encoded")
    if _BROKEN_ESCAPE.search(raw_path):
        raise AmbiguousPath(reason="a broken percent-escape")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousPath(reason="not UTF-8") from None
    _check_reading(path)
    return path


def is_plain(raw_path: bytes) -> bool:
    """True for the path of most requests, which has one reading: its own bytes, in upper or lower case."""
    return _PLAIN.match(raw_path) is not None


def check_one_place(raw_path: bytes, path: str, *, place: PlaceOf, folded: PlaceOf) -> None:
    """Refuse a path if some reader finds another place than `place(path)`.

    `path` is the canonical form of `raw_path`. `folded` is `place` for paths that have been through `fold`.

    Raises:
        BadRequest: `ambiguous_path`, with the reason.
    """
    here = place(path)
    without_case = fold(path)
    if folded(without_case) != here:
        reason = "without regard to case it leads elsewhere"
        raise AmbiguousPath(reason=reason, reading=without_case, leads_elsewhere=True)
    if is_plain(raw_path):
        return
    found = _all_readings(raw_path)
    for reading in found:
        _check_reading(reading)
    elsewhere = [one for one in {fold(reading) for reading in found} if folded(one) != here]
    if elsewhere:
        raise AmbiguousPath(reason="one of its readings leads elsewhere", reading=min(elsewhere), leads_elsewhere=True)


def refuse_encoded_slash(raw_path: bytes) -> None:
    """Refuse `%2F` and `%5C`: some programs decode before they split the path, some after.

    Raises:
        BadRequest: `ambiguous_path`.
    """
    if b"%" in raw_path and _ENCODED_SLASH.search(raw_path):
        raise AmbiguousPath(reason="an encoded slash, and the route does not say encoded_slashes = true")


def _check_reading(reading: str) -> None:
    if CONTROL.search(reading):
        raise AmbiguousPath(reason="a control character", reading=reading)
    if DOT_SEGMENT.search(reading):
        raise AmbiguousPath(reason="a dot segment", reading=reading)
    if reading.startswith(_LEADS_AWAY):
        raise AmbiguousPath(reason="two slashes at its start, as before a host name", reading=reading)


def forward_target(raw_path: bytes, query_string: bytes, *, strip_prefix: str = "") -> bytes:
    """Build the request-target for the upstream from the client's own bytes.

    `raw_path` has passed `canonical_path`, so it has the same segments as the canonical path. `strip_prefix`
    (canonical, with or without a trailing slash) is removed segment by segment.

    Raises:
        BadRequest: `ambiguous_query` for bytes that a query cannot hold, `ambiguous_path` if the prefix is absent.
    """
    target = _without_prefix(raw_path, strip_prefix.strip("/")) if strip_prefix else raw_path
    if not query_string:
        return target
    if _NOT_IN_A_QUERY.search(query_string):
        raise BadRequest("ambiguous_query")
    return target + b"?" + query_string


def _without_prefix(raw_path: bytes, prefix: str) -> bytes:
    if not prefix:
        return raw_path
    count = prefix.count("/") + 1
    _, *segments = raw_path.split(b"/", count + 1)
    if decode(b"/".join(segments[:count]).decode("utf-8", "surrogateescape")) != prefix:
        raise AmbiguousPath(reason="outside of the prefix")
    target = b"/" + b"".join(segments[count:])
    if any(reading.startswith(_LEADS_AWAY) for reading in _all_readings(target)):
        raise AmbiguousPath(reason="two slashes after the prefix, as before a host name")
    return target


def _all_readings(raw_path: bytes) -> set[str]:
    path = raw_path.decode("utf-8", "surrogateescape")
    if is_plain(raw_path):
        return {path}
    try:
        return readings(path)
    except TooManyReadings:
        raise AmbiguousPath(reason="too many readings") from None
