"""Which of an upstream's response headers may reach a browser. Pure, on raw header lists.

An upstream has no power over the sign-in. It cannot set the gateway's cookies, give orders to a front proxy, affect the
whole origin (`gateway.headers.origin_wide`), widen CORS, or send a browser to an address that only this server reaches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from bff.errors import UpstreamFailed
from gateway.headers.cookies import RefusedCookie, settable_cookie
from gateway.headers.origin_wide import is_origin_wide
from gateway.headers.request import HOP_BY_HOP, RawHeaders, is_header_name, nominated_headers
from gateway.targets import Target

_REPLACED: Final = HOP_BY_HOP | {b"x-request-id"}
"""Headers that are removed without a log line: every hop has its own."""
_FORBIDDEN_PREFIXES: Final = (
    b"x-accel-",  # nginx, Caddy: another file or address as the answer, caching, speed
    b"x-envoy-",  # Envoy: the health of the front door, retries
    b"x-lighttpd-",  # lighttpd: files
    b"x-litespeed-",  # LiteSpeed: another address as the answer, what its cache stores and removes
    b"x-lsadc-",  # the same in LiteSpeed's balancer
    b"x-reproxy-",  # H2O, Perlbal: another address or file as the answer
    b"x-sendfile",  # Apache, lighttpd, Caddy: files
    b"x-auth-request",
    b"x-vestibule",
)
"""Headers that a proxy before this front door obeys, and headers that only the front door may set."""
_OF_THE_HANDSHAKE: Final = b"sec-websocket-"
_NOT_IN_A_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_ENCODED_BY_BROWSERS: Final = re.compile(rb'[^!-~]|["<>]')
_REFRESH: Final = re.compile(
    rb"([ \t]*[0-9.]+[ \t]*[;,][ \t]*(?:url[ \t]*=[ \t]*)?)(['\"]?)(.+)\2[ \t]*", re.IGNORECASE
)
_LINK: Final = re.compile(rb"((?:\A|,)[ \t]*<)([^<>]*)(?=>)")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERYWHERE: Final[Mapping[bytes, bytes]] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"strict-origin-when-cross-origin",
}
_FRAMING_RULES: Final = frozenset(
    {b"content-security-policy", b"content-security-policy-report-only", b"x-frame-options"}
)


def encode_as_browsers_do(url: bytes) -> str:
    """Return `url` as a browser reads it from a header (URL Standard 4.4): nothing left that needs encoding.

    White space at the edges and tabs are removed, a backslash before the query is a slash, and every byte that a URL
    cannot hold is percent-encoded.
    """
    url = url.strip(b" \t").replace(b"\t", b"")
    end = min((at for mark in (b"?", b"#") if (at := url.find(mark)) >= 0), default=len(url))
    url = url[:end].replace(b"\\", b"/") + url[end:]
    return _ENCODED_BY_BROWSERS.sub(lambda found: b"%%%02X" % found[0][0], url).decode("ascii")


def _note_nothing(_: bytes | RefusedCookie) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ResponseHygiene:
    """Cleans the answers of one route's upstream.

    `target` is its address (None in this process), `prefix` is the stripped prefix or "". `is_page` adds frame
    protection, `allow_cors` keeps the upstream's own `Access-Control-*`, and `add_security_headers` adds missing
    defaults. `note_dropped` is called with the name of each header that is removed, `note_cookie` with each cookie.
    """

    target: Target | None = None
    prefix: str = ""
    is_page: bool = False
    allow_cors: bool = False
    add_security_headers: bool = True
    note_dropped: Callable[[bytes], None] = _note_nothing
    note_cookie: Callable[[RefusedCookie], None] = _note_nothing

    def clean(self, headers: Iterable[tuple[bytes, bytes]], *, host: str = "", forwarded_path: str = "") -> RawHeaders:
        """Return the headers that may go to the browser.

        `host` is the request's Host: cookies belong to it, and `Location` may name it. `forwarded_path` is the path the
        upstream was asked for (for `Location`).

        Raises:
            UpstreamFailed: `upstream_protocol`, for a name or value that no header may have.
        """
        cleaned: RawHeaders = []
        for name, value in self._allowed(headers, host):
            try:
                cleaned.append((name, self._rewrite_urls(name, value, host, forwarded_path)))
            except ValueError:
                self.note_dropped(name)
        return [*cleaned, *self._missing_defaults(cleaned)]

    def clean_handshake(self, headers: Iterable[tuple[bytes, bytes]], *, host: str = "") -> RawHeaders:
        """Return the headers that may go into a 101 for the Host `host`. The server adds those of the handshake itself.

        Raises:
            UpstreamFailed: as `clean`.
        """
        return [header for header in self._allowed(headers, host) if not header[0].startswith(_OF_THE_HANDSHAKE)]

    def _allowed(self, headers: Iterable[tuple[bytes, bytes]], host: str) -> RawHeaders:
        given = [(name.lower(), value) for name, value in headers]
        nominated = nominated_headers(given)
        allowed: RawHeaders = []
        for name, value in given:
            if not is_header_name(name) or _NOT_IN_A_VALUE.search(value):
                raise UpstreamFailed("upstream_protocol", detail="invalid response header")
            if name in _REPLACED or name in nominated:
                continue
            if self._is_forbidden(name):
                self.note_dropped(name)
            elif name != b"set-cookie":
                allowed.append((name, value))
            elif isinstance(cookie := settable_cookie(value, host=_host_name(host)), RefusedCookie):
                self.note_cookie(cookie)
            else:
                allowed.append((name, cookie))
        return allowed

    def _is_forbidden(self, name: bytes) -> bool:
        if name.startswith(_FORBIDDEN_PREFIXES) or is_origin_wide(name):
            return True
        return name.startswith(b"access-control-") and not self.allow_cors

    def _missing_defaults(self, headers: RawHeaders) -> RawHeaders:
        if not self.add_security_headers:
            return []
        present = {name for name, _ in headers}
        missing = [(name, value) for name, value in _EVERYWHERE.items() if name not in present]
        if self.is_page and _FRAMING_RULES.isdisjoint(present):
            missing += [(b"content-security-policy", b"frame-ancestors 'self'"), (b"x-frame-options", b"SAMEORIGIN")]
        return missing

    def _rewrite_urls(self, name: bytes, value: bytes, host: str, forwarded_path: str) -> bytes:
        """Rewrite the URLs in a header that has any.

        Raises:
            ValueError: no browser can read one of the URLs.
        """

        def rewritten(url: bytes) -> bytes:
            return self._rewrite_location(encode_as_browsers_do(url), host, forwarded_path).encode("ascii")

        match name:
            case b"location" | b"content-location":
                return rewritten(value)
            case b"refresh" if found := _REFRESH.fullmatch(value):
                return found[1] + found[2] + rewritten(found[3]) + found[2]
            case b"link":
                return _LINK.sub(lambda link: link[1] + rewritten(link[2]), value)
        return value

    def _rewrite_location(self, location: str, host: str, forwarded_path: str) -> str:
        """Turn a URL of the upstream's own origin, or of this host, into a path, and put a stripped prefix back.

        Frameworks redirect `/x` to `/x/` on the path that they see. Only such paths, and URLs of the internal origin,
        get the prefix: the upstream knows any other path from outside.
        """
        url, is_internal = self._read_location(location)
        is_own = not url.netloc or (bool(host) and url.netloc.lower() == host.lower())
        if not is_internal and (not is_own or not (url.netloc or url.path.startswith("/"))):
            return location
        path = "/" + url.path.lstrip("/")
        seen = self._without_base(path)
        if is_internal or seen.rstrip("/") == forwarded_path.rstrip("/"):
            path = self._with_prefix(seen)
        query = f"?{url.query}" if url.query else ""
        return path + query + (f"#{url.fragment}" if url.fragment else "")

    def _read_location(self, location: str) -> tuple[SplitResult, bool]:
        """Split a Location. The second value is True if it is the address at which this server reaches the upstream."""
        url = urlsplit(location)
        return url, self._is_internal(url.scheme, url.hostname or "", url.port)

    def _is_internal(self, scheme: str, hostname: str, port: int | None) -> bool:
        if self.target is None or self.target.socket_path or scheme not in {"http", "https", ""} or not hostname:
            return False
        same_host = hostname == self.target.host or {hostname, self.target.host} <= _LOOPBACK
        return same_host and (port or (443 if scheme == "https" else 80)) == self.target.port

    def _without_base(self, path: str) -> str:
        base = self.target.base_path.decode("ascii") if self.target is not None else ""
        return (path.removeprefix(base) or "/") if base and f"{path}/".startswith(f"{base}/") else path

    def _with_prefix(self, path: str) -> str:
        prefix = self.prefix.rstrip("/")
        return path if not prefix or f"{path}/".startswith(f"{prefix}/") else prefix + path


def _host_name(host: str) -> str:
    """Return a Host without its port."""
    return urlsplit(f"//{host}").hostname or ""
