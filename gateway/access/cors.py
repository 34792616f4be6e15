"""Cross-origin requests: refused unless a route names the exact origin. Preflights are answered here. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bff.errors import Forbidden
from bff.settings.public_urls import canonical_origin
from bff.settings.tables import RouteSettings
from bff.web.pages import Page
from gateway.access.routes import is_method_allowed

RawHeaders = list[tuple[bytes, bytes]]
MAX_AGE_SECONDS = 600
_NAMES = re.compile(rb"[A-Za-z0-9-]{1,64}(?:\s*,\s*[A-Za-z0-9-]{1,64}){0,31}")
_METHOD = re.compile(rb"[A-Z]{1,16}")


def is_allowed_origin(origin: str, route: RouteSettings) -> bool:
    """True if `cors_origins` names exactly this origin, as browsers write it: without the scheme's own port."""
    return bool(origin) and origin in {canonical_origin(named.rstrip("/")) for named in route.cors_origins}


def cors_headers(origin: str, route: RouteSettings) -> RawHeaders:
    """Build the headers for an answer to an allowed origin, [] for others. `Vary` is there if answers could differ."""
    if not route.cors_origins:
        return []
    vary = [(b"vary", b"Origin")]
    if not is_allowed_origin(origin, route):
        return vary
    return [
        (b"access-control-allow-origin", origin.encode("ascii")),
        (b"access-control-allow-credentials", b"true"),
        *vary,
    ]


def preflight_of(method: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Return the method that a preflight asks about; None if the request is not a preflight."""
    if method != "OPTIONS" or not any(name == b"origin" for name, _ in headers):
        return None
    return next((value for name, value in headers if name == b"access-control-request-method"), None)


def answer_preflight(wanted: bytes, origin: str, headers: Sequence[tuple[bytes, bytes]], route: RouteSettings) -> Page:
    """Answer a preflight. No credential is read, and no upstream is asked.

    Raises:
        Forbidden: `cors_origin`.
    """
    asked = b", ".join(value for name, value in headers if name == b"access-control-request-headers")
    allowed = is_allowed_origin(origin, route) and _METHOD.fullmatch(wanted)
    if not allowed or not is_method_allowed(route, wanted.decode("ascii")) or (asked and not _NAMES.fullmatch(asked)):
        raise Forbidden("cors_origin", "Pages of that origin may not call this.")
    answer = [
        ("access-control-allow-methods", wanted.decode("ascii")),
        ("access-control-max-age", str(MAX_AGE_SECONDS)),
    ]
    if asked:
        answer.append(("access-control-allow-headers", asked.decode("ascii")))
    return Page(204, answer, b"")
