"""One request to ask about: its method, its address in the client's own bytes, and the page that sends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from bff.contract import HEADER_CSRF
from bff.settings.public_urls import PublicUrls, canonical_origin
from gateway.cli.routes.callers import NOBODY, Who
from gateway.faults import UsageFault

_METHOD: Final = re.compile(r"[A-Za-z]{1,20}")
_ADDRESS: Final = re.compile(r"(?:(https?|wss?)://([^/?#]*))?(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE)
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May `who` do this? `raw_path` and `query` are bytes of the request line; `host` is the Host header."""

    method: str
    host: str
    raw_path: bytes
    query: bytes
    who: Who
    origin: str = ""
    """Of the page whose script asks; "" for a page of the host itself, or for a program."""
    is_websocket: bool = False

    @property
    def target(self) -> bytes:
        return self.raw_path + (b"?" + self.query if self.query else b"")

    @property
    def address(self) -> str:
        """Method and address as people write them."""
        return f"{'WS' if self.is_websocket else self.method} {self.host}{self.target.decode('latin-1')}"

    def headers(self, urls: PublicUrls | None) -> list[tuple[bytes, bytes]]:
        """Build the headers of this request: a script's, with what browsers add, or a program's.

        `urls` is the origin that the host belongs to. Pages of it send what `csrf = "header"` asks for.
        """
        headers = [(b"host", self.host.encode("utf-8")), (b"accept", b"*/*")]
        own = urls.origin if urls is not None else ""
        origin = self.origin or own
        is_own = origin == own
        if self.is_websocket:
            key = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
            headers += [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
            headers += [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)]
        if self.who.is_machine and not self.origin:
            return headers
        if self.is_websocket or not is_own or self.method not in ("GET", "HEAD"):
            headers.append((b"origin", origin.encode("utf-8")))
        if not self.is_websocket:
            site = b"same-origin" if is_own else b"cross-site"
            headers += [(b"sec-fetch-site", site), (b"sec-fetch-mode", b"cors"), (b"sec-fetch-dest", b"empty")]
            if is_own:
                headers.append((HEADER_CSRF.lower().encode(), b"1"))
        return headers


def read_question(
    method: str, url: str, *, origins: Mapping[str, PublicUrls], who: Who = NOBODY, origin: str = ""
) -> Question:
    """Read a request from text. A path without a host is below `server.public_url`, as those of routes are.

    Characters outside ASCII are encoded as browsers do it; all others stay as they are, dots and backslashes too.

    Raises:
        UsageFault: the text is no method or no address.
    """
    match = _ADDRESS.fullmatch(url)
    if not _METHOD.fullmatch(method):
        raise UsageFault(f"{method!r} is no method: write GET, POST …; for a WebSocket GET with a wss:// address")
    if match is None or not (match[2] or match[3]):
        raise UsageFault(f"{url!r} is no address: write https://host/path or /path, without #")
    own = next(iter(origins.values()))
    raw_path = _encoded(("" if match[2] else own.base_path) + (match[3] or "/"))
    is_websocket = (match[1] or "").lower() in ("ws", "wss")
    if is_websocket and method.upper() != "GET":
        raise UsageFault("a WebSocket is opened with GET")
    return Question(
        method=method.upper(),
        host=(match[2] or own.host).lower(),
        raw_path=raw_path,
        query=_encoded(match[4] or ""),
        who=who,
        origin=_origin(origin),
        is_websocket=is_websocket,
    )


def _origin(text: str) -> str:
    if not text:
        return ""
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.netloc or text.rstrip("/") != f"{url.scheme}://{url.netloc}":
        raise UsageFault(f"{text!r} is no origin: write https://host or https://host:port")
    return canonical_origin(text.rstrip("/"))


def _encoded(text: str) -> bytes:
    return _NOT_ASCII.sub(_percent, text).encode("ascii")


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))
