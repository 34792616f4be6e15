"""Rules that let in only request heads that can be read in one way. Pure, on raw bytes (RFC 9112 sections 3, 5 and 6).

The parser before these rules refuses bare LF, obs-fold, NUL, white space before a colon, repeated or odd
Content-Length, and Content-Length beside Transfer-Encoding. These rules refuse what the parser accepts and a proxy must
not accept.
"""

from __future__ import annotations

import http
import re
from collections.abc import Sequence

from bff.settings.tables import LimitSettings

HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::[0-9]{1,5})?")
CONTENT_LENGTH = re.compile(rb"[0-9]{1,18}")
ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://")
CONTINUE = b"100-continue"
SIGN_IN_BYTES = 1_024
"""Room for the other parameters of a sign-in whose address holds a long one."""
REFUSED_METHODS = frozenset(
    b"CONNECT TRACE TRACK "
    b"ANNOUNCE DESCRIBE FLUSH GET_PARAMETER PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER SOURCE TEARDOWN PRI".split()
)
"""Methods that are refused: tunnels and echoes, then those of RTSP, ICE and HTTP/2 that the parser also knows."""
WATCHED_HEADERS = frozenset((b"host", b"content-length", b"transfer-encoding", b"cookie", b"expect"))

Headers = Sequence[tuple[bytes, bytes]]


class RequestRefused(Exception):
    """A refused request. `code` is the stable reason for the log, `status` is for the client."""

    def __init__(self, code: str, status: int = 400) -> None:
        self.code = code
        self.status = status
        super().__init__(code)

    @property
    def phrase(self) -> bytes:
        return http.HTTPStatus(self.status).phrase.encode("ascii")

    @property
    def answer(self) -> bytes:
        """The complete answer, which is the last of its connection."""
        return (
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n"
            b"cache-control: no-store\r\n\r\n%s" % (self.status, self.phrase, len(self.phrase), self.phrase)
        )


def validate_head(
    method: bytes, target: bytes, *, version: str, headers: Headers, upgrade: bool, limits: LimitSettings
) -> bytes:
    """Return the origin-form of `target` if the head can be read in one way only. Header names are lower case.

    `upgrade`: the connection is to become a WebSocket.

    Raises:
        RequestRefused: the head is ambiguous; `code` says why.
    """
    if version not in ("1.1", "1.0"):
        raise RequestRefused("version_refused")
    if method in REFUSED_METHODS:
        raise RequestRefused("method_refused", 405)
    if len(headers) > limits.header_count:
        raise RequestRefused("headers_too_many", 431)
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    encodings: list[bytes] = []
    expectations: list[bytes] = []
    cookies = 0
    for name, value in headers:
        if name in WATCHED_HEADERS:
            if name == b"host":
                hosts.append(value)
            elif name == b"cookie":
                cookies += value.count(b";") + 1
            elif name == b"content-length":
                lengths.append(value)
            elif name == b"expect":
                expectations.append(value)
            else:
                encodings.append(value)
    if lengths or encodings:
        _validate_framing(lengths, encodings, version=version)
    if cookies > limits.cookie_count:
        raise RequestRefused("cookies_too_many", 431)
    _validate_host(hosts)
    if expectations and version != "1.0" and [value.lower() for value in expectations] != [CONTINUE]:
        raise RequestRefused("expectation_refused", 417)
    if upgrade:
        _validate_handshake(method, headers=headers, has_body=bool(lengths or encodings))
    return _origin_form(target, host=hosts[0])


def is_too_long(target: bytes, limits: LimitSettings, *, login: bytes) -> bool:
    """True for a request target over the limit. That of a sign-in, which starts with `login`, may be longer.

    It holds another address, encoded: each of its bytes may be three.
    """
    if len(target) <= limits.url_bytes:
        return False
    return not target.startswith(login) or len(target) > 3 * limits.url_bytes + SIGN_IN_BYTES


def expects_continue(version: str, headers: Headers) -> bool:
    """True when `Expect: 100-continue` counts: HTTP/1.0 does not have it, and a request without body does not need it.

    RFC 9110 section 10.1.1.
    """
    return version != "1.0" and has_body(headers)


def has_body(headers: Headers) -> bool:
    """True if a request with these valid headers has a body of at least a byte, or one of unknown length."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0) for name, value in headers
    )


def _validate_framing(lengths: list[bytes], encodings: list[bytes], *, version: str) -> None:
    if lengths and encodings:
        raise RequestRefused("framing_ambiguous")
    if len(lengths) > 1 or any(not CONTENT_LENGTH.fullmatch(length) for length in lengths):
        raise RequestRefused("content_length_refused")
    # Even `Chunked` is refused: requests are smuggled when one server reads a coding and the next ignores it.
    if encodings and (encodings != [b"chunked"] or version != "1.1"):
        raise RequestRefused("transfer_encoding_refused")


def _validate_host(hosts: list[bytes]) -> None:
    if not hosts:
        raise RequestRefused("host_missing")
    if len(hosts) > 1:
        raise RequestRefused("host_repeated")
    if not HOST.fullmatch(hosts[0]):
        raise RequestRefused("host_malformed")


def offers_websocket(version: str, headers: Headers) -> bool:
    """True if `Upgrade` names WebSocket and nothing else: the only offer that is taken.

    Any other offer, and each one of HTTP/1.0, is ignored and the request answered as it is (RFC 9110 section 7.8).
    """
    return version == "1.1" and [value.lower() for name, value in headers if name == b"upgrade"] == [b"websocket"]


def _validate_handshake(method: bytes, *, headers: Headers, has_body: bool) -> None:
    """Allow only a clean WebSocket handshake: GET, and no body that could hide a second request (RFC 6455 4.2.1)."""
    if method != b"GET":
        raise RequestRefused("upgrade_refused")
    if has_body:
        raise RequestRefused("upgrade_with_body")
    if sum(name == b"origin" for name, _ in headers) > 1:
        raise RequestRefused("origin_repeated")


def _origin_form(target: bytes, *, host: bytes) -> bytes:
    """Return path and query of an origin-form target, or of an absolute-form target that names `host` itself."""
    if not target.startswith(b"/") and (absolute := ABSOLUTE.match(target)):
        authority, slash, rest = target[absolute.end() :].partition(b"/")
        own_port = b":443" if absolute[0].lower() == b"https://" else b":80"  # no difference (RFC 9110 4.2.3)
        if authority.lower().removesuffix(own_port) != host.lower().removesuffix(own_port) or not slash:
            raise RequestRefused("target_foreign")
        target = slash + rest
    if not target.startswith(b"/") or target.startswith(b"//") or b"#" in target or b"\\" in target[:2]:
        raise RequestRefused("target_malformed")
    return target
