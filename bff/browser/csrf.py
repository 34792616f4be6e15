"""Checks against cross-site request forgery: fetch metadata, Origin, and the static header. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bff import contract
from bff.errors import Forbidden
from bff.settings.public_urls import canonical_origin

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READING_SITES = frozenset({"", "none", "same-origin"})
"""Values of `Sec-Fetch-Site` that may read: our own pages, the person's own act, and clients that are not browsers."""
_SITE, _MODE, _DEST, _ORIGIN = b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest", b"origin"
_REFERER = b"referer"
_CSRF = contract.HEADER_CSRF.lower().encode("ascii")
_WANTED = frozenset({_SITE, _MODE, _DEST, _ORIGIN, _CSRF, _REFERER})
_SAY_WHO = (
    f"This call does not say where it comes from. Outside a browser, send {contract.HEADER_CSRF}: 1. Browsers say it "
    "since Chrome 80, Firefox 90 and Safari 16.4; older ones need the page's Referer, so its Referrer-Policy must not "
    "be no-referrer."
)
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
    referer: str = ""

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[bytes, bytes]]) -> FetchMetadata:
        seen: dict[bytes, str] = {}
        for name, value in headers:
            if name in _WANTED:
                seen[name] = AMBIGUOUS if name in seen else value.decode("latin-1")
        return cls(*(seen.get(name, "") for name in (_SITE, _MODE, _DEST, _ORIGIN, _CSRF, _REFERER)))

    @property
    def is_navigation(self) -> bool:
        """True for a top-level navigation. `Accept` is not checked: Streamlit's own polls accept anything."""
        return self.mode == "navigate" and self.dest in ("", "document")

    @property
    def says_nothing(self) -> bool:
        return not self.site and not self.origin

    def refers_to(self, origin: str) -> bool:
        """True if `Referer` is a page of `origin`. Browsers without fetch metadata send it with reads."""
        scheme, separator, rest = self.referer.partition("://")
        return is_same_origin(f"{scheme}{separator}{rest.partition('/')[0]}", origin)


def is_same_origin(given: str, own: str) -> bool:
    """True if the header value `given` names `own`. Case and the scheme's own port make no difference."""
    return bool(given) and canonical_origin(given) == own


def check_same_origin(method: str, fetch: FetchMetadata, *, origin: str, strict_reads: bool) -> None:
    """Check mode `fetch`: unsafe methods need proof of the same origin; safe methods must not be cross-site embeds.

    The strongest evidence decides: `Sec-Fetch-Site`, which no page can set; then `Origin`; then, for safe methods,
    `Referer`. `origin` is the origin that the request came to, in lower case. Pages on another host of this door count
    as another site. With `strict_reads` (APIs), a safe request with none of the three needs `X-Vestibule-CSRF: 1`.

    Raises:
        Forbidden: `csrf_cross_site`, `csrf_origin` or `csrf_missing`.
    """
    _check_origin(fetch, origin)
    if method in SAFE_METHODS:
        if fetch.site not in READING_SITES and not (fetch.is_navigation and method == "GET"):
            raise Forbidden("csrf_cross_site", "This request came from another site.")
        if strict_reads and fetch.says_nothing and not fetch.refers_to(origin) and fetch.csrf != "1":
            raise Forbidden("csrf_missing", _SAY_WHO)
        return
    if fetch.site and fetch.site != "same-origin":
        raise Forbidden("csrf_cross_site", "This request came from another site.")
    if fetch.says_nothing and fetch.csrf != "1":
        raise Forbidden("csrf_missing", _SAY_WHO)


def _check_origin(fetch: FetchMetadata, own: str) -> None:
    """Refuse a foreign `Origin`.

    A browser writes `null` for any page with `Referrer-Policy: no-referrer`, so `null` says nothing where
    `Sec-Fetch-Site` says more. Alone it is refused: sandboxed frames and local files send it too.
    """
    if not fetch.origin or is_same_origin(fetch.origin, own):
        return
    if fetch.origin != "null" or not fetch.site:
        raise Forbidden("csrf_origin", "This request came from another site.")


def check_static_header(fetch: FetchMetadata) -> None:
    """Check the mode `header`: every call needs `X-Vestibule-CSRF: 1`.

    Raises:
        Forbidden: `csrf_missing`.
    """
    if fetch.csrf != "1":
        raise Forbidden("csrf_missing", f"Send {contract.HEADER_CSRF}: 1 with each call.")
