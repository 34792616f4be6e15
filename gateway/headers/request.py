"""Which of a client's request headers may reach an upstream. Pure, on raw ASGI header lists.

First, all headers are removed that say who somebody is, where a request came from or how a connection is framed, in
every spelling. Then the gateway adds its own (`gateway.headers.identity`, `gateway.headers.forwarded`), so that a
client's `Connection` header cannot remove them. RFC 9110 section 7.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from gateway.headers.cookies import select_cookies
from gateway.headers.foreign_identity import foreign_name, named_in_full

RawHeaders = list[tuple[bytes, bytes]]

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
_FRAMING: Final = frozenset({b"content-length", b"expect"})
"""Headers that the transport sets itself: each message has one framing."""
_CREDENTIALS: Final = frozenset({b"authorization", b"dpop"})
_OWNED: Final = frozenset(
    {
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-pseudo-ipv4",
        b"client-ip",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"forwarded",
        b"front-end-https",
        b"proxy",
        b"script-name",
        b"true-client-ip",
        b"x-azure-clientip",
        b"x-azure-socketip",
        b"x-backend-host",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-envoy-internal",
        b"x-host",
        b"x-http-host-override",
        b"x-http-method",
        b"x-http-method-override",
        b"x-http-path-override",
        b"x-method-override",
        b"x-originating-ip",
        b"x-override-url",
        b"x-proxyuser-ip",
        b"x-real-ip",
        b"x-request-id",
        b"x-rewrite-url",
        b"x-scheme",
        b"x-script-name",
        b"x-url-scheme",
    }
)
_OWNED_PREFIXES: Final = (
    b"remote-",
    b"x-accel-",
    b"x-auth-request",
    b"x-envoy-original-",
    b"x-forwarded",
    b"x-original-",
    b"x-sendfile",
    b"x-vestibule",
)
"""Headers that are never passed on: this front door sets them, or they control a proxy or a framework."""
_OWN_IDENTITY: Final = frozenset(
    {
        b"x-forwarded-access-token",
        b"x-forwarded-email",
        b"x-forwarded-groups",
        b"x-forwarded-preferred-username",
        b"x-forwarded-user",
        b"x-vestibule-assertion",
    }
)
_OWN_IDENTITY_PREFIXES: Final = (b"remote-", b"x-auth-request")
_CONDITIONALS: Final = frozenset(
    {b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"range"}
)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_PLAIN: Final = re.compile(rb"[0-9a-z-]+\Z")
_SIGN: Final = re.compile(rb"[^0-9a-z-]")


class _Verdict(Enum):
    DROP = auto()
    FOREIGN = auto()
    KEEP = auto()
    HOST = auto()
    COOKIE = auto()
    CREDENTIAL = auto()


@dataclass(frozen=True, slots=True)
class RequestHygiene:
    """The request headers that one route passes on.

    `owned` are the names that any route adds (`claim_headers`, `assertion_header`), in lower case. `forward_headers`
    and `forward_cookies` are globs or "all"; `Host` and cookies need not be listed among the headers. A foreign
    identity (`gateway.headers.foreign_identity`) passes only if it is listed without a wildcard.
    """

    owned: frozenset[bytes] = frozenset()
    forward_headers: Literal["all"] | tuple[str, ...] = "all"
    forward_cookies: Literal["all"] | tuple[str, ...] = "all"

    def clean(self, headers: Iterable[tuple[bytes, bytes]], *, keep_authorization: bool = False) -> RawHeaders:
        """Return the client's headers without our own, and without hop-by-hop, nominated, framing and unlisted ones.

        `keep_authorization` is for public routes. `Host` passes unchanged.
        """
        given = list(headers)
        nominated = nominated_headers(given)
        cleaned: RawHeaders = []
        for raw_name, value in given:
            name = raw_name.lower()
            verdict = _verdict(name)
            if verdict is _Verdict.HOST:
                cleaned.append((name, value))
            elif verdict is _Verdict.DROP or name in nominated or name in self.owned:
                continue
            elif verdict is _Verdict.FOREIGN:
                if self.admits(name):
                    cleaned.append((name, value))
            elif verdict is _Verdict.COOKIE:
                if cookies := select_cookies(value, self.forward_cookies):
                    cleaned.append((name, cookies))
            elif verdict is _Verdict.CREDENTIAL:
                if keep_authorization:
                    cleaned.append((name, value))
            elif self.forward_headers == "all" or _is_listed(name, self.forward_headers):
                cleaned.append((name, value))
        return cleaned

    def admits(self, name: bytes) -> bool:
        """True if the route lists the full name of this foreign identity (lower case)."""
        return self.forward_headers != "all" and name in named_in_full(self.forward_headers)

    def removed_identity(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the list entry of the first header that would tell the upstream who the client is; "" if none."""
        for name, _ in headers:
            if (entry := identity_entry(name)) and not self.admits(name.lower()):
                return entry
        return ""


@lru_cache(maxsize=4096)
def identity_entry(name: bytes) -> str:
    """Return the list entry for a header, in any spelling, that would tell who the client is; "" if none."""
    plain = _SIGN.sub(b"-", name.lower())
    if plain in _OWN_IDENTITY:
        return plain.decode("ascii")
    own = next((prefix for prefix in _OWN_IDENTITY_PREFIXES if plain.startswith(prefix)), b"")
    return f"{own.decode('ascii')}*" if own else foreign_name(plain)


def is_own_identity(plain: bytes) -> bool:
    """True for the name (lower case, with hyphens) of a header in which this front door says who somebody is."""
    return plain in _OWN_IDENTITY or plain.startswith((*_OWN_IDENTITY_PREFIXES, b"x-vestibule-"))


def nominated_headers(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """Return the names that `Connection` headers list as hop-by-hop, in lower case."""
    tokens = (value for name, value in headers if name.lower() == b"connection")
    return frozenset(token.strip().lower() for value in tokens for token in value.split(b","))


def owned_headers(names: Iterable[str]) -> frozenset[bytes]:
    """Build `RequestHygiene.owned` from the names of the headers that any route adds."""
    return frozenset(name.lower().encode("ascii") for name in names)


def without_conditionals(headers: Sequence[tuple[bytes, bytes]]) -> RawHeaders:
    """Return headers that ask for the whole document, uncompressed: the gateway writes into the response."""
    return uncompressed([(name, value) for name, value in headers if name not in _CONDITIONALS])


def uncompressed(headers: Sequence[tuple[bytes, bytes]]) -> RawHeaders:
    """Return headers that ask for an uncompressed response."""
    return [
        *((name, value) for name, value in headers if name != b"accept-encoding"),
        (b"accept-encoding", b"identity"),
    ]


def is_header_name(name: bytes) -> bool:
    """True for a lower-case token (RFC 9110 section 5.6.2)."""
    return _NAME.match(name) is not None


def header_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the first value of `name` (lower case), None if it is absent."""
    return next((value for candidate, value in headers if candidate == name), None)


@lru_cache(maxsize=2048)
def _verdict(name: bytes) -> _Verdict:
    """Judge a lower-case name. With a sign other than `-` it never passes: application servers turn all into `_`."""
    if not _PLAIN.match(name):
        return _Verdict.DROP
    if name in HOP_BY_HOP or name in _FRAMING or name in _OWNED or name.startswith(_OWNED_PREFIXES):
        return _Verdict.DROP
    if name in _CREDENTIALS:
        return _Verdict.CREDENTIAL
    if foreign_name(name):
        return _Verdict.FOREIGN
    return {b"host": _Verdict.HOST, b"cookie": _Verdict.COOKIE}.get(name, _Verdict.KEEP)


@lru_cache(maxsize=4096)
def _is_listed(name: bytes, globs: tuple[str, ...]) -> bool:
    text = name.decode("ascii")
    return any(fnmatchcase(text, glob.lower()) for glob in globs)
