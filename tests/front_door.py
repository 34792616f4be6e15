"""The whole front door on a real socket in a thread, wired to the fake provider and upstream."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import uvloop

from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from bff.stores.protocol import Store
from gateway.app import GatewayApp, create_app
from gateway.forward_auth.app import create_verify_app
from gateway.serving.server import build_server, build_verify_server, count_connections, wait_until_started
from tests.fakes import CookieClient, FakeProvider, RecordingUpstream, bind_socket

T = TypeVar("T")
KEY = "unit-test-key-0123456789-abcdefghijklmnop"
KIT_SECRET = "unit-test-kit-secret-0123456789"


def provider_table(provider: FakeProvider, **over: Any) -> dict[str, Any]:
    """`[providers.*]` for the fake."""
    return {
        "issuer": provider.issuer,
        "client_id": provider.client.client_id,
        "client_secret": provider.client.client_secret,
        "client_auth": provider.client.auth_method,
        **over,
    }


def api_route(upstream: RecordingUpstream | str, **over: Any) -> dict[str, Any]:
    url = upstream if isinstance(upstream, str) else upstream.url
    return {"id": "api", "path": "/api/", "upstream": url, "strip_prefix": True, "kind": "api"} | over


def page_route(upstream: RecordingUpstream | str, **over: Any) -> dict[str, Any]:
    url = upstream if isinstance(upstream, str) else upstream.url
    return {"id": "dashboards", "path": "/", "upstream": url, "kind": "page"} | over


def door_settings(
    port: int,
    providers: Mapping[str, FakeProvider | Mapping[str, Any]],
    routes: Sequence[Mapping[str, Any]],
    **tables: Any,
) -> Settings:
    """Development settings of a door on `http://localhost:<port>`; `tables` are merged over them, one level deep."""
    raw: dict[str, Any] = {
        "server": {
            "public_url": f"http://localhost:{port}",
            "environment": "development",
            "internal_hosts": [f"127.0.0.1:{port}"],
        },
        "secrets": {"keys": [KEY]},
        "providers": {
            name: provider_table(provider) if isinstance(provider, FakeProvider) else dict(provider)
            for name, provider in providers.items()
        },
        "routes": list(routes),
    }
    for name, table in tables.items():
        raw[name] = {**raw.get(name, {}), **table}
    return parse_settings(raw)


class RunningDoor:
    """A front door in a thread; `do(coroutine)` runs something in its event loop."""

    def __init__(
        self,
        providers: Mapping[str, FakeProvider | Mapping[str, Any]],
        routes: Sequence[Mapping[str, Any]],
        *,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
        port: int = 0,
        verify_at: int = 0,
        **tables: Any,
    ) -> None:
        self._socket = bind_socket("127.0.0.1", port)
        self.port: int = self._socket.getsockname()[1]
        self._verify_socket = bind_socket("127.0.0.1", verify_at) if tables.get("forward_auth") else None
        self.settings = door_settings(self.port, providers, routes, **tables)
        self._store, self._clock = store, clock
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.app: GatewayApp = None  # type: ignore[assignment]  # made in the thread, before `start` returns

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def verify_port(self) -> int:
        """The port of the forward-auth listener; the door needs a table `forward_auth`."""
        assert self._verify_socket is not None
        return int(self._verify_socket.getsockname()[1])

    def start(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 10
        while self.app is None or not self._is_started():
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the front door did not start")
            time.sleep(0.005)
        return self

    def _is_started(self) -> bool:
        return self._server.started and (self._verify_socket is None or self._verify_server.started)

    def stop(self) -> None:
        for server in (self._server, *([self._verify_server] if self._verify_socket else [])):
            server.should_exit = True
        self._thread.join(15)
        self._socket.close()
        if self._verify_socket is not None:
            self._verify_socket.close()

    def do(self, work: Coroutine[Any, Any, T], *, timeout: float = 10) -> T:
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout)

    def cut_connections(self) -> None:
        """Reset every connection of a client, without an answer."""

        async def cut() -> None:
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()

        self.do(cut())

    def browser(self) -> CookieClient:
        return CookieClient()

    def sign_in(self, browser: CookieClient, person: str = "alice", path: str = "/", **query: str) -> list[Any]:
        """Walk a whole sign-in at the fake provider's page; returns the responses of the last walk."""
        pages = browser.walk(browser.get(self.url + path, params=query or None))
        if "#person-" in pages[-1].text or f'id="person-{person}"' in pages[-1].text:
            pages = browser.walk(browser.submit(pages[-1], f"#person-{person}"))
        return pages

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        app = create_app(self.settings, store=self._store, clock=self._clock)
        self._server = build_server(app, self.settings)
        if self._verify_socket is None:
            self.app = app
            await self._server.serve(sockets=[self._socket])
            return
        connections = count_connections(self.settings)
        self._verify_server = build_verify_server(create_verify_app(app), self.settings, connections=connections)
        self.app = app
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        await wait_until_started(self._server, serving)
        self._server.dependants.append(asyncio.create_task(self._verify_server.serve(sockets=[self._verify_socket])))
        await asyncio.gather(serving, *self._server.dependants)


@contextmanager
def running_door(
    providers: Mapping[str, FakeProvider | Mapping[str, Any]], routes: Sequence[Mapping[str, Any]], **tables: Any
) -> Iterator[RunningDoor]:
    door = RunningDoor(providers, routes, **tables).start()
    try:
        yield door
    finally:
        door.stop()
