"""Checks against cross-site request forgery: fetch metadata, Origin, and the static header. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bff import contract
from bff.errors import Forbidden

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READING_SITES = frozenset({"", "none", "same-origin"})
"""Values of `Sec-Fetch-Site` that may read: our own pages, the person's own act, and clients that are not browsers."""
_SITE, _MODE, _DEST, _ORIGIN = b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"origin"
_CSRF = contract.HEADER_CSRF.lower().encode("ascii")
_WANTED = frozenset({_SITE, _MODE, _DEST, _ORIGIN, _CSRF})
AMBIGUOUS = "?"
"""Used for a header that came twice; it equals no acceptable value."""


@dataclass(frozen=True, slots=True)
class FetchMetadata:
    """The headers in which a browser describes where a request comes from; "" for an absent header."""

    site: str = ""
    mode: str = ""
    dest: str = ""
    origin: str = ""
    csrf: str = ""

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[bytes, bytes]]) -> FetchMetadata:
        seen: dict[bytes, str] = {}
        for name, value in headers:
            if name in _WANTED:
                seen[name] = AMBIGUOUS if name in seen else value.decode("latin-1")
        return cls(*(seen.get(name, "") for name in (_SITE, _MODE, _DEST, _ORIGIN, _CSRF)))

    @property
    def is_navigation(self) -> bool:
        """True for a top-level navigation. `Accept` is not checked: Streamlit's own polls accept anything."""
        return self.mode == "navigate" and self.dest in ("", "document")

    @property
    def says_nothing(self) -> bool:
        return not self.site and not self.origin


def check_same_origin(method: str, fetch: FetchMetadata, *, origin: str, strict_reads: bool) -> None:
    """Check mode `fetch`: unsafe methods need proof of the same origin; safe methods must not be cross-site embeds.

    `origin` is the origin that the request came to, in lower case. Pages on another host of this door count as another
    site. With `strict_reads` (APIs), a safe request without these headers needs `X-Vestibule-CSRF: 1` too.

    Raises:
        Forbidden: `csrf_cross_site`, `csrf_origin` or `csrf_missing`.
    """
    if fetch.origin and fetch.origin.lower() != origin:
        raise Forbidden("csrf_origin", "This request came from another site.")
    if method in SAFE_METHODS:
        if fetch.site not in READING_SITES and not (fetch.is_navigation and method == "GET"):
            raise Forbidden("csrf_cross_site", "This request came from another site.")
        if strict_reads and fetch.says_nothing and fetch.csrf != "1":
            raise Forbidden("csrf_missing", f"Send {contract.HEADER_CSRF}: 1 with calls from outside a browser.")
        return
    if fetch.site and fetch.site != "same-origin":
        raise Forbidden("csrf_cross_site", "This request came from another site.")
    if fetch.says_nothing and fetch.csrf != "1":
        raise Forbidden("csrf_missing", f"Send {contract.HEADER_CSRF}: 1 with calls from outside a browser.")


def check_static_header(fetch: FetchMetadata) -> None:
    """Check the mode `header`: every call needs `X-Vestibule-CSRF: 1`.

    Raises:
        Forbidden: `csrf_missing`.
    """
    if fetch.csrf != "1":
        raise Forbidden("csrf_missing", f"Send {contract.HEADER_CSRF}: 1 with each call.")
