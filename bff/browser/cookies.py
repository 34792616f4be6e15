"""Read cookies strictly from raw bytes, and write them with every attribute.

Framework parsers trim unusual white space, remove quotes and let the last duplicate win. Each of these can turn a
foreign cookie into ours. Here a cookie is `name=value` between semicolons and single spaces, and nothing else. Foreign
cookies never change how ours are read: a page on a neighbouring host may set any number of them for this host.
`$Version` and similar names (RFC 2965) changed how old parsers read the rest; here they are ordinary foreign cookies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bff import contract

SIGNED_ID = re.compile(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}")
TRANSACTION_NAME = re.compile(rb"(?:__Host-)?vestibule-tx-[0-9a-f]{8}")
XSRF_COOKIE = re.compile(r"\"?2\|([0-9a-f]{8})\|((?:[0-9a-f]{2}){16,64})\|[0-9]{1,20}\"?", re.IGNORECASE)


class DuplicateCookie(Exception):
    """The same cookie name came twice. Neither is used, because nobody can tell which one is right."""


@dataclass(frozen=True, slots=True)
class CookieNames:
    """Cookie names for one kind of origin: with `__Host-` on https, without it on loopback http in development."""

    session: str
    transaction_prefix: str
    secure: bool

    @classmethod
    def for_origin(cls, *, secure: bool) -> CookieNames:
        if secure:
            return cls(contract.SESSION_COOKIE, contract.TRANSACTION_COOKIE_PREFIX, True)
        return cls(contract.INSECURE_SESSION_COOKIE, contract.INSECURE_TRANSACTION_COOKIE_PREFIX, False)


def cookie_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the values of all Cookie headers of an ASGI scope, in order."""
    return [value for name, value in headers if name == b"cookie"]


def split_cookies(values: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Return (name, value) pairs exactly as sent, without the parts that have no `=`.

    How many there may be is decided by the server (`limits.cookie_count`), once and for all readers.
    """
    pairs: list[tuple[bytes, bytes]] = []
    for header in values:
        for part in header.split(b";"):
            name, separator, value = part.strip(b" ").partition(b"=")
            if separator:
                pairs.append((name, value))
    return pairs


def mentions_cookie(values: Iterable[bytes], name: str) -> bool:
    """True if `name` appears anywhere in the Cookie headers, in any form. What must not come is not parsed."""
    wanted = name.encode("ascii")
    return any(wanted in header for header in values)


def find_cookie(values: Sequence[bytes], name: str) -> str | None:
    """Return the value of the cookie called exactly `name`, None if there is none. Other cookies have no influence.

    Raises:
        DuplicateCookie: `name` came twice, in one header or in several.
    """
    if not mentions_cookie(values, name):
        return None
    wanted, pairs = name.encode("ascii"), split_cookies(values)
    found = [value for cookie, value in pairs if cookie == wanted]
    if len(found) > 1:
        raise DuplicateCookie(name)
    if not found:
        return None
    try:
        return found[0].decode("ascii")
    except UnicodeDecodeError:
        return None


def find_session_cookie(values: Sequence[bytes], name: str) -> str | None:
    """Return the session cookie if its value has the form of a signed session id."""
    value = find_cookie(values, name)
    return value if value is not None and SIGNED_ID.fullmatch(value) else None


def xsrf_token(cookie: str) -> str:
    """Return the token in Streamlit's XSRF cookie as hex, "" if the cookie has another form.

    The cookie is `2|mask|masked token|time`. It gets a new mask each time it is set; the token stays the same.
    """
    found = XSRF_COOKIE.fullmatch(cookie)
    if found is None:
        return ""
    mask, masked = bytes.fromhex(found[1]), bytes.fromhex(found[2])
    return bytes(byte ^ mask[index % len(mask)] for index, byte in enumerate(masked)).hex()


def transaction_cookie_names(values: Iterable[bytes], names: CookieNames) -> list[str]:
    """Return the names of the transaction cookies that a browser sent, in its order."""
    prefix = names.transaction_prefix.encode("ascii")
    return [
        name.decode("ascii")
        for name, _ in split_cookies(values)
        if name.startswith(prefix) and TRANSACTION_NAME.fullmatch(name)
    ]


def build_set_cookie(
    name: str,
    value: str,
    *,
    secure: bool,
    max_age: int | None = None,
    same_site: Literal["Lax", "None"] = "Lax",
) -> str:
    """Build a Set-Cookie value: HttpOnly, Path=/, no Domain (RFC 6265bis section 4.1.3 for `__Host-`)."""
    parts = [f"{name}={value}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if secure:
        parts.insert(2, "Secure")
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    return "; ".join(parts)


def build_clear_cookie(name: str, *, secure: bool, same_site: Literal["Lax", "None"] = "Lax") -> str:
    return build_set_cookie(name, "", secure=secure, max_age=0, same_site=same_site)
