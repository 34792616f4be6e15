"""Read which request a proxy asks about. Each mode has one way, and every other header is ignored. Pure.

What the headers say is believed because a trusted proxy sent them (`server.trusted_proxies`). So the proxy must set
them on each question; a client's own values must not get through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from bff import contract
from bff.settings.tables import ForwardAuthMode

_URL: Final = contract.HEADER_ORIGINAL_URL.lower().encode("ascii")
_METHOD: Final = contract.HEADER_ORIGINAL_METHOD.lower().encode("ascii")
_FORWARDED: Final = {
    "method": b"x-forwarded-method",
    "scheme": b"x-forwarded-proto",
    "host": b"x-forwarded-host",
    "target": b"x-forwarded-uri",
}
_TOKEN: Final = re.compile(r"[A-Z][A-Z_-]{0,31}\Z")
_HOST: Final = re.compile(r"(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{1,5})?\Z")
_ABSOLUTE: Final = re.compile(r"([A-Za-z]{2,5})://([^/?#]*)(/.*)?\Z")
_NEEDLESS: Final = re.compile(rb"%(2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")
"""Escapes of letters, digits and `-._~`."""
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Some proxies name the scheme of a WebSocket. Its handshake is a request like all others."""
_MOST_SHOWN: Final = 100

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Original:
    """The request that a client sent to the proxy. `target` is path and query in the client's own bytes.

    `scheme` is "" where the proxy does not say it.
    """

    method: str
    scheme: str
    host: str
    target: bytes

    @property
    def raw_path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]


@dataclass(frozen=True, slots=True)
class Refused:
    """The question cannot be read. `detail` names the header and the fix, for the operator's log."""

    detail: str


def read_original(mode: ForwardAuthMode, headers: Headers, *, method: str, suffix: bytes) -> Original | Refused:
    """Return the request that a proxy of `mode` asks about.

    `headers`, `method` and `suffix` are those of the question; `suffix` is what follows the mode in its target, with
    the query. Only Envoy uses the last two.
    """
    match mode:
        case "nginx" | "haproxy":
            return _from_url(headers)
        case "traefik" | "caddy":
            return _from_forwarded(headers)
        case "envoy":
            return _from_request(headers, method=method, suffix=suffix)


def as_written(raw_path: bytes) -> str:
    """Return a path as a proxy finds it that compares bytes: needless escapes, such as `%61`, stay. "" if it has none.

    Browsers escape what must be escaped, and always in the same way. So other escapes are decoded here.
    """
    if b"%" not in raw_path or not _NEEDLESS.search(raw_path):
        return ""
    kept = _NEEDLESS.sub(rb"%25\1", raw_path)
    return unquote(kept.decode("latin-1"))


def is_handshake(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True if the original request opens a WebSocket. Proxies drop some of its headers, so one of them is enough.

    No script can set the headers that begin with `Sec-`.
    """
    return any(
        name == b"sec-websocket-key"
        or (name == b"upgrade" and b"websocket" in value.lower())
        or (name == b"sec-fetch-mode" and value == b"websocket")
        for name, value in headers
    )


def _from_url(headers: Headers) -> Original | Refused:
    url, method = _single(headers, _URL), _single(headers, _METHOD)
    if isinstance(url, Refused):
        return url
    if isinstance(method, Refused):
        return method
    found = _ABSOLUTE.match(url)
    if found is None:
        return Refused(
            f"{contract.HEADER_ORIGINAL_URL} is no absolute URL: {_shown(url)}; nginx writes it with $scheme"
        )
    return _checked(method, scheme=found[1], host=found[2], target=found[3] or "/")


def _from_forwarded(headers: Headers) -> Original | Refused:
    values = {field: _single(headers, name) for field, name in _FORWARDED.items()}
    for value in values.values():
        if isinstance(value, Refused):
            return value
    return _checked(**{field: str(value) for field, value in values.items()})


def _from_request(headers: Headers, *, method: str, suffix: bytes) -> Original | Refused:
    host = _single(headers, b"host")
    if isinstance(host, Refused):
        return host
    if not suffix.startswith(b"/"):
        return Refused("the path has nothing behind the mode; set path_prefix to the address of verify")
    return _checked(method, scheme="", host=host, target=suffix.decode("latin-1"))


def _checked(method: str, *, scheme: str, host: str, target: str) -> Original | Refused:
    name = host.lower()
    if not _TOKEN.match(method):
        return Refused(f"the original method is none: {_shown(method)}")
    if scheme and scheme.lower() not in _SCHEMES:
        return Refused(f"the original scheme is neither http nor https: {_shown(scheme)}")
    if not _HOST.match(name):
        return Refused(f"the original host is none: {_shown(host)}")
    if not target.startswith("/"):
        return Refused(f"the original path does not start with a slash: {_shown(target)}")
    return Original(method, _SCHEMES.get(scheme.lower(), ""), name, target.encode("latin-1"))


def _single(headers: Headers, name: bytes) -> str | Refused:
    """Return the only value of a header. Two values could be the proxy's and the client's."""
    values = [value for candidate, value in headers if candidate == name]
    shown = name.decode("ascii")
    if len(values) != 1:
        return Refused(f"{shown} {'is missing' if not values else 'came twice'}; let the proxy set it to one value")
    return values[0].decode("latin-1")


def _shown(value: str) -> str:
    return ascii(value[:_MOST_SHOWN])
