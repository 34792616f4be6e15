"""A front door with two public hosts: `http://localhost:PORT` (`here`) and `http://127.0.0.1:PORT` (`there`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.fakes import CookieClient
from tests.ports import free_port
from tests.security.house import SESSION_COOKIES, House
from tests.security.raw import RawAnswer, exchange

INTERNAL_HOST = "door.internal:8000"
PROXIES = ["127.0.0.0/8"]
"""For `trusted_proxies`: the peer of every test."""


@dataclass(frozen=True)
class TwoHosts:
    """`here` and `there` are the two origins of one house, at `port`: the door's own, or that of a proxy before it."""

    house: House
    port: int

    @property
    def here(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def there(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sign_in(self, origin: str, person: str = "alice", *, browser: CookieClient | None = None) -> CookieClient:
        browser = browser or self.house.browser()
        self.house.provider.options.auto_login = person
        pages = browser.walk(browser.get(f"{origin}/auth/login"))
        assert browser.fetch(f"{origin}/auth/session").status_code == 200, pages[-1].text
        return browser

    def cookie(self, browser: CookieClient, origin: str) -> str:
        """The value of the session cookie that `browser` has for `origin`."""
        cookies = browser.cookies.for_url(httpx.URL(origin), lax=True, strict=True)
        return next(cookie.value for cookie in cookies if cookie.name in SESSION_COOKIES)

    def ask(
        self, origin: str, path: str, *lines: str, method: str = "GET", cookie: str = "", body: str = ""
    ) -> RawAnswer:
        """One request with the Host of `origin` and exactly these header lines."""
        return self.ask_host(origin.removeprefix("http://"), path, *lines, method=method, cookie=cookie, body=body)

    def ask_host(
        self, host: str, path: str, *lines: str, method: str = "GET", cookie: str = "", body: str = ""
    ) -> RawAnswer:
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines]
        if cookie:
            head.append(f"Cookie: vestibule={cookie}")
        if body:
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        return RawAnswer.parse(exchange(self.port, ("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1")))

    def is_signed_in(self, origin: str, cookie: str) -> bool:
        answer = self.ask(origin, "/auth/session", "Sec-Fetch-Site: same-origin", cookie=cookie)
        assert answer.status in (200, 401), answer.received
        return answer.status == 200


def build_two_hosts(
    build_house: Callable[..., House],
    routes: Sequence[Mapping[str, Any]] | None = None,
    *,
    proxy_port: int = 0,
    own_port: int = 0,
    **tables: Any,
) -> TwoHosts:
    """The house; `tables` replace keys of its settings. Its hosts are reached at `proxy_port` if that is given.

    `own_port` is the port of the door itself, by default any free one.
    """
    own_port = own_port or free_port()
    port = proxy_port or own_port
    server = {
        "public_url": f"http://localhost:{port}",
        "origins": [f"http://127.0.0.1:{port}"],
        "internal_hosts": [INTERNAL_HOST],
        **tables.pop("server", {}),
    }
    return TwoHosts(build_house(routes=routes, port=own_port, server=server, **tables), port)
