"""A cookie store with the rules of RFC 6265bis, kept visible for assertions."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import httpx

_ORDER = itertools.count()


def is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or (is_ip(host) and ip_address(host).is_loopback)


def site_of(url: httpx.URL) -> tuple[str, str]:
    """Scheme and registrable domain, taken as the last two labels (there are no deeper suffixes in tests)."""
    host = url.host.lower()
    return url.scheme, host if is_ip(host) else ".".join(host.split(".")[-2:])


@dataclass(frozen=True, slots=True)
class Cookie:
    """A Set-Cookie as it was received, with every attribute."""

    name: str
    value: str = field(repr=False)
    host: str
    """The host that set it."""
    domain: str | None
    """The Domain attribute; None is a host-only cookie."""
    path: str
    secure: bool
    httponly: bool
    samesite: str | None
    """"Lax", "Strict", "None", or None when the attribute is missing (then treated as Lax)."""
    max_age: int | None
    expires_at: float | None
    """Unix seconds; None is a session cookie."""
    raw: str = field(repr=False)
    """The whole header value."""
    refused: str = ""
    """Why a browser would not store it; "" if it was stored."""
    order: int = field(default_factory=lambda: next(_ORDER))

    def matches(self, url: httpx.URL) -> bool:
        """True if host, path and Secure allow the cookie to be sent to this URL."""
        host = url.host.lower()
        host_fits = host == self.host if self.domain is None else _domain_match(host, self.domain)
        return host_fits and _path_match(url.path, self.path) and (not self.secure or is_trustworthy(url))


def is_trustworthy(url: httpx.URL) -> bool:
    """True if Secure cookies are sent: over https, or to loopback."""
    return url.scheme == "https" or is_loopback(url.host.lower())


def _domain_match(host: str, domain: str) -> bool:
    return host == domain or (host.endswith("." + domain) and not is_ip(host))


def _path_match(path: str, prefix: str) -> bool:
    return path == prefix or (path.startswith(prefix) and (prefix.endswith("/") or path[len(prefix)] == "/"))


def _default_path(url: httpx.URL) -> str:
    directory = url.path.rpartition("/")[0]
    return directory if directory.startswith("/") else "/"


def parse_set_cookie(raw: str, url: httpx.URL, *, now: float) -> Cookie:
    """Parse one Set-Cookie as sent by `url`; a refused cookie is returned with its reason."""
    first, *rest = raw.split(";")
    name, _, value = (part.strip() for part in first.partition("="))
    attributes: dict[str, str] = {}
    for part in rest:
        key, _, text = part.strip().partition("=")
        attributes[key.strip().lower()] = text.strip()
    max_age = _integer(attributes.get("max-age"))
    path = attributes.get("path", "")
    host = url.host.lower()
    domain = attributes.get("domain", "").lower().removeprefix(".") or None
    if domain == host and is_ip(host):
        domain = None
    samesite = attributes.get("samesite", "").capitalize()
    cookie = Cookie(
        name=name,
        value=value,
        host=host,
        domain=domain,
        path=path if path.startswith("/") else _default_path(url),
        secure="secure" in attributes,
        httponly="httponly" in attributes,
        samesite=samesite if samesite in ("Lax", "Strict", "None") else None,
        max_age=max_age,
        expires_at=now + max_age if max_age is not None else _expires(attributes.get("expires")),
        raw=raw,
    )
    return replace(cookie, refused=_refusal(cookie, url, explicit_path=path))


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _expires(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except ValueError:
        return None


def _refusal(cookie: Cookie, url: httpx.URL, *, explicit_path: str) -> str:
    if not cookie.name and not cookie.value:
        return "empty"
    if len(cookie.name) + len(cookie.value) > 4096:
        return "name and value over 4096 bytes"
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in cookie.name + cookie.value):
        return "control character"
    if cookie.domain is not None and not _domain_match(cookie.host, cookie.domain):
        return "Domain of another host"
    if cookie.secure and not is_trustworthy(url):
        return "Secure from an insecure origin"
    if cookie.samesite == "None" and not cookie.secure:
        return "SameSite=None without Secure"
    lower = cookie.name.lower()
    if lower.startswith("__secure-") and not cookie.secure:
        return "__Secure- without Secure"
    if lower.startswith("__host-") and not (cookie.secure and cookie.domain is None and explicit_path == "/"):
        return "__Host- needs Secure, Path=/ and no Domain"
    return ""


class CookieStore:
    """Stored cookies by host; iterate, or ask by name. As in browsers, ports do not separate cookies."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stored: dict[tuple[str, str, str], Cookie] = {}
        self.history: list[Cookie] = []
        """Every Set-Cookie ever received, refused and deleting ones too."""

    def receive(self, response: httpx.Response, *, may_store: bool = True) -> None:
        """Take the Set-Cookie headers of a response."""
        for raw in response.headers.get_list("set-cookie"):
            cookie = parse_set_cookie(raw, response.url, now=self._clock())
            self.history.append(cookie)
            if may_store and not cookie.refused:
                self.put(cookie)

    def put(self, cookie: Cookie) -> None:
        """Store a cookie, or delete the one with its name if it is expired.

        A replaced cookie keeps its place in the order.
        """
        key = (cookie.name, cookie.domain or f"={cookie.host}", cookie.path)
        old = self._stored.pop(key, None)
        if cookie.expires_at is None or cookie.expires_at > self._clock():
            self._stored[key] = replace(cookie, order=old.order) if old else cookie

    def set(self, name: str, value: str, url: str, *, attributes: str = "Path=/") -> None:
        """Plant a cookie as if `url` had set it."""
        cookie = parse_set_cookie(f"{name}={value}; {attributes}", httpx.URL(url), now=self._clock())
        if cookie.refused:
            raise ValueError(cookie.refused)
        self.put(cookie)

    def _live(self) -> list[Cookie]:
        now = self._clock()
        return [cookie for cookie in self._stored.values() if cookie.expires_at is None or cookie.expires_at > now]

    def for_url(self, url: str | httpx.URL, *, lax: bool = True, strict: bool = True) -> list[Cookie]:
        """The cookies that go to a URL, longest path first; `lax` and `strict` let SameSite cookies of that kind go."""
        target = httpx.URL(url)
        allowed = {"None": True, "Strict": strict}
        fitting = [each for each in self._live() if each.matches(target) and allowed.get(each.samesite or "Lax", lax)]
        return sorted(fitting, key=lambda cookie: (-len(cookie.path), cookie.order))

    def __iter__(self) -> Iterator[Cookie]:
        return iter(self._live())

    def __len__(self) -> int:
        return len(self._live())

    def __contains__(self, name: object) -> bool:
        return any(cookie.name == name for cookie in self._live())

    def get(self, name: str, *, host: str = "") -> Cookie | None:
        found = [cookie for cookie in self._live() if cookie.name == name and host in ("", cookie.host)]
        if len(found) > 1:
            raise AssertionError(f"{len(found)} cookies named {name}: say which host, or look at the list")
        return found[0] if found else None

    def __getitem__(self, name: str) -> Cookie:
        cookie = self.get(name)
        if cookie is None:
            raise KeyError(name)
        return cookie

    def delete(self, name: str) -> None:
        self._stored = {key: cookie for key, cookie in self._stored.items() if cookie.name != name}

    def clear(self) -> None:
        self._stored.clear()
