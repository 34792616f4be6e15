"""Check the URLs of a configuration: are they absolute and plain, and are they on this machine? Pure."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def is_loopback(url: SplitResult) -> bool:
    """True for localhost, *.localhost and loopback addresses."""
    host = url.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def http_url(text: str, *, may_have_query: bool = False) -> SplitResult | None:
    """`text` as an absolute http(s) URL in plain ASCII without user info, query or fragment; None when it is none.

    With `may_have_query` a query is allowed.
    """
    refused = ' \\"<>#' if may_have_query else ' \\"<>?#'
    if not text.isascii() or not text.isprintable() or any(char in text for char in refused):
        return None
    try:
        url = urlsplit(text)
        is_port = url.port != 0
    except ValueError:
        return None
    return url if url.scheme in ("http", "https") and url.hostname and "@" not in url.netloc and is_port else None


def names_default_port(url: SplitResult) -> bool:
    """True if the URL has a port that browsers leave out of Host and Origin. Such a URL would never match them."""
    return url.port == {"http": 80, "https": 443}[url.scheme]
