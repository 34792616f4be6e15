"""The house under attack: provider, upstream, front door and store, and what each of them recorded."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from bff.sessions.record import Session
from bff.stores.memory import MemoryStore
from bff.stores.protocol import StoredRecord
from tests.bff.factories import resume
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, api_route, page_route, provider_table
from tests.security.raw import RawAnswer, exchange, open_websocket

SESSION_COOKIES = ("vestibule", "__Host-vestibule")
QUIET_EVENTS = frozenset({"login_started", "login_ok", "logout", "refresh_ok", "request"})
"""Events of allowed actions. Every other event in the audit log is a refusal or a fault."""
_TRUST = ssl.create_default_context()


class WatchedStore(MemoryStore):
    """The memory store, and the names of all sessions and sign-ins that were ever put into it."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self.sessions: list[str] = []
        self.logins: list[str] = []
        self.pause_after_load = 0.0
        """How many seconds pass after a record is read, before the reader gets it."""

    async def load(self, name: str) -> StoredRecord | None:
        record = await super().load(name)
        if self.pause_after_load:
            await asyncio.sleep(self.pause_after_load)
        return record

    async def create(
        self, name: str, sealed: bytes, *, owners: Sequence[str], idle_seconds: float, absolute_expires_at: float
    ) -> bool:
        self.sessions.append(name)
        return await super().create(
            name, sealed, owners=owners, idle_seconds=idle_seconds, absolute_expires_at=absolute_expires_at
        )

    async def put_once(self, kind: str, name: str, value: bytes, *, seconds: float, cap: int) -> bool:
        kept = await super().put_once(kind, name, value, seconds=seconds, cap=cap)
        if kind == "login":
            self.logins.append(name)
        return kept


@dataclass
class House:
    """One front door with everything around it. `audit` is every structured log event of this test, oldest first."""

    provider: FakeProvider
    upstream: RecordingUpstream
    door: RunningDoor
    store: WatchedStore
    audit: list[MutableMapping[str, Any]] = field(default_factory=list)
    browsers: list[CookieClient] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.door.url

    def browser(self) -> CookieClient:
        browser = CookieClient(verify=_TRUST)
        self.browsers.append(browser)
        return browser

    def close_browsers(self) -> None:
        while self.browsers:
            self.browsers.pop().close()

    def sign_in(self, person: str = "alice", *, browser: CookieClient | None = None, path: str = "/auth/login") -> Any:
        """A browser that `person` signed in with."""
        browser = browser or self.browser()
        self.provider.options.auto_login = person
        pages = browser.walk(browser.get(self.url + path))
        assert self.is_signed_in(browser), f"sign-in ended with {pages[-1].status_code} at {pages[-1].url.path}"
        return browser

    def is_signed_in(self, browser: CookieClient) -> bool:
        status = browser.fetch(f"{self.url}/auth/session").status_code
        assert status in (200, 401), status
        return status == 200

    def who(self, browser: CookieClient) -> str:
        """The `sub` this browser is signed in as."""
        return str(browser.fetch(f"{self.url}/auth/session").json()["sub"])

    def start_login(self, browser: CookieClient, path: str = "/auth/login", **query: str) -> httpx.Response:
        """The door's redirect to the provider, not followed."""
        return browser.get(self.url + path, params=query or None)

    def callback_url(self, browser: CookieClient, path: str = "/auth/login", **query: str) -> str:
        """Walk a sign-in up to the callback's URL, which nobody has opened yet."""
        at_provider = browser.follow(self.start_login(browser, path, **query))
        assert at_provider.status_code == 303, at_provider.text
        return at_provider.headers["location"]

    def session_cookie(self, browser: CookieClient) -> str:
        return next(cookie.value for cookie in browser.cookies if cookie.name in SESSION_COOKIES)

    def session_of(self, browser: CookieClient) -> Session:
        """The stored session behind a browser's cookie."""
        session = self.door.do(resume(self.door.app.bff.sessions, self.session_cookie(browser)))
        assert session is not None
        return session

    def raw(self, request: bytes, *pieces: bytes, **how: Any) -> bytes:
        """Bytes in, bytes out; ``{host}`` in the request becomes the door's Host, `pieces` follow after a pause."""
        return exchange(self.door.port, request.replace(b"{host}", self.host.encode()), *pieces, **how)

    @property
    def host(self) -> str:
        return f"localhost:{self.door.port}"

    def get_raw(self, path: bytes | str, *headers: str | bytes, method: str = "GET", cookie: str = "") -> RawAnswer:
        """One request with exactly this target and these header lines."""
        return RawAnswer.parse(self.raw(self.request(path, *headers, method=method, cookie=cookie)))

    def request(self, path: bytes | str, *headers: str | bytes, method: str = "GET", cookie: str = "") -> bytes:
        """The bytes of such a request, whose connection ends after its answer."""
        target = path.encode("latin-1") if isinstance(path, str) else path
        lines = [f"{method} ".encode() + target + b" HTTP/1.1", f"Host: {self.host}".encode(), b"Connection: close"]
        lines += [line.encode("latin-1") if isinstance(line, str) else line for line in headers]
        if cookie:
            lines.append(f"Cookie: vestibule={cookie}".encode())
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def open_websocket(self, request: bytes, *, timeout: float = 5) -> tuple[RawAnswer, socket.socket]:
        """Send a handshake and read its answer; the socket stays open."""
        return open_websocket(self.door.port, request, timeout=timeout)

    def refusals(self) -> list[MutableMapping[str, Any]]:
        """Audit events that report a refusal or a fault."""
        return [event for event in self.audit if event["event"] not in QUIET_EVENTS and event.get("audit")]


def query_of(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def location_query(response: httpx.Response) -> dict[str, str]:
    """Parameters of a redirect, which must not repeat one."""
    pairs = query_of(response.headers["location"])
    assert len(dict(pairs)) == len(pairs), f"a parameter occurs twice: {[name for name, _ in pairs]}"
    return dict(pairs)


def attack_routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    """One route of each kind that an attacker meets, all before the same upstream."""
    return [
        api_route(upstream, token="access_token"),
        api_route(upstream, id="models", path="/models/", token="assertion", audience="models-api"),
        api_route(upstream, id="optional", path="/optional/", auth="optional", token="access_token"),
        api_route(upstream, id="strict", path="/strict/", csrf="header"),
        api_route(upstream, id="public", path="/public", auth="public", strip_prefix=False, kind="static"),
        page_route(upstream, id="admin", path="/admin", require={"roles_any": ["admin"]}),
        page_route(upstream, id="domain", path="/domain", require={"email_domains": ["corp.example"]}),
        page_route(upstream, framework="streamlit"),
    ]


@contextmanager
def open_house(
    provider: FakeProvider,
    upstream: RecordingUpstream,
    *,
    routes: Sequence[Mapping[str, Any]] | None = None,
    clock: Callable[[], float] = time.time,
    providers: Mapping[str, Any] | None = None,
    **tables: Any,
) -> Iterator[House]:
    """Make a new house. `tables` replace keys of the development settings."""
    store = WatchedStore(clock=clock)
    limits = {"pending_logins": 1_000_000, "pending_logins_per_address": 1_000_000, **tables.pop("limits", {})}
    door = RunningDoor(
        providers or {"corp": provider_table(provider, par="off")},
        attack_routes(upstream) if routes is None else routes,
        store=store,
        clock=clock,
        limits=limits,
        **tables,
    ).start()
    house = House(provider, upstream, door, store)
    try:
        yield house
    finally:
        house.close_browsers()
        provider.bend.open_gates()
        door.stop()
