"""The upstreams of all routes: one client per target and process, and the choice among several targets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from bff.audit import Audit
from bff.errors import UpstreamFailed
from bff.settings.header_names import added_header_names
from bff.settings.tables import RouteSettings, Settings
from gateway.headers.dropped import DroppedHeaders
from gateway.headers.request import RequestHygiene, owned_headers
from gateway.headers.response import ResponseHygiene
from gateway.targets import parse_target
from gateway.upstream.asgi import AsgiUpstream
from gateway.upstream.dial import DialFailed, client_tls
from gateway.upstream.health import Health
from gateway.upstream.http import HttpUpstream
from gateway.upstream.place import Place
from gateway.upstream.websocket_client import WebSocketUpstream


@dataclass(frozen=True, slots=True)
class NetworkUpstream:
    """One server behind a route, for requests and for sockets. `health` is None if the route has no other."""

    name: str
    http: HttpUpstream
    websocket: WebSocketUpstream
    responses: ResponseHygiene
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class LocalUpstream:
    """An ASGI application in this process."""

    name: str
    application: AsgiUpstream
    responses: ResponseHygiene


Upstream = NetworkUpstream | LocalUpstream


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RouteUpstreams:
    """A route's upstreams, and its rules for headers. `prefix` is removed from the path; "" removes nothing."""

    route: RouteSettings
    requests: RequestHygiene
    prefix: str
    upstreams: tuple[Upstream, ...]
    _open: Counter[str] = field(default_factory=Counter)
    """Requests and sockets under way, by name of the upstream."""
    _turn: count[int] = field(default_factory=count)

    @property
    def keeps_places(self) -> bool:
        """True if the requests of one page must all reach the same one of several upstreams."""
        return self.route.kind == "page" and len(self.upstreams) > 1

    async def use_one(self, place: Place, use: Callable[[Upstream], Awaitable[T]]) -> T:
        """Call `use` with an upstream, and with the next one as long as the dial fails. Nothing was sent by then.

        Raises:
            DialFailed: none of them can be dialled; the failure of the last one.
            AuthError: from `use`.
        """
        failure: DialFailed | None = None
        for upstream in self._candidates(place):
            self._open[upstream.name] += 1
            try:
                return await use(upstream)
            except DialFailed as exc:
                failure = exc
            finally:
                self._open[upstream.name] -= 1
        raise failure or UpstreamFailed(detail="the route has no upstream")

    def first_choice(self, place: Place) -> Upstream:
        """Return the upstream that a page belongs to while all of them are running."""
        return self._ranked(place)[0]

    def _candidates(self, place: Place) -> Iterator[Upstream]:
        """Yield upstreams, the best first. Those that rest come last: the others may fail too.

        The other requests of a page go to the upstream of its WebSocket, even if this process believes that it is down:
        another process may know that it is running again.
        """
        resting: list[Upstream] = []
        for upstream in self._ranked(place) if len(self.upstreams) > 1 else self.upstreams:
            if place.is_at(upstream.name) or _may_be_tried(upstream):
                yield upstream
            else:
                resting.append(upstream)
        yield from resting

    def _ranked(self, place: Place) -> list[Upstream]:
        """Sort the upstreams: for a page the one it is at, then by rendezvous hash; for others by open connections."""
        if self.route.kind == "page":
            return sorted(self.upstreams, key=lambda one: (place.is_at(one.name), place.weight(one.name)), reverse=True)
        turn, number = next(self._turn), len(self.upstreams)
        ranked = sorted(range(number), key=lambda at: (self._open[self.upstreams[at].name], (at - turn) % number))
        return [self.upstreams[at] for at in ranked]

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            if isinstance(upstream, NetworkUpstream):
                await upstream.http.aclose()
            else:
                await upstream.application.stop()


def _may_be_tried(upstream: Upstream) -> bool:
    return not isinstance(upstream, NetworkUpstream) or upstream.health is None or upstream.health.may_be_tried()


def build_upstreams(settings: Settings, *, base_path: str, audit: Audit) -> Mapping[str, RouteUpstreams]:
    """The upstreams of all routes that have any, by route id."""
    owned = owned_headers(added_header_names(settings.routes))
    return {
        route.id: _route_upstreams(route, owned, base_path=base_path, audit=audit)
        for route in settings.routes
        if route.upstream
    }


def _route_upstreams(route: RouteSettings, owned: frozenset[bytes], *, base_path: str, audit: Audit) -> RouteUpstreams:
    prefix = (base_path + route.path).rstrip("/") if route.strip_prefix else ""
    dropped = DroppedHeaders(route.id, monotonic=time.monotonic)
    return RouteUpstreams(
        route=route,
        requests=RequestHygiene(owned, route.forward_headers, route.forward_cookies),
        prefix=prefix,
        upstreams=tuple(_upstream(one, route, prefix=prefix, dropped=dropped, audit=audit) for one in route.upstream),
    )


def _upstream(target: str, route: RouteSettings, *, prefix: str, dropped: DroppedHeaders, audit: Audit) -> Upstream:
    hygiene = ResponseHygiene(
        target=None if target.startswith("asgi:") else parse_target(target),
        prefix=prefix,
        is_page=route.kind == "page",
        add_security_headers=route.security_headers == "default",
        note_dropped=dropped.note,
        note_cookie=dropped.note_cookie,
    )
    if target.startswith("asgi:"):
        return LocalUpstream(target, AsgiUpstream(target), hygiene)
    timeouts = route.timeouts
    tls = client_tls(route.ca_file) if target.startswith("https:") else None
    health = None
    if len(route.upstream) > 1:
        health = Health(target, route=route.id, audit=audit, probe_seconds=timeouts.connect)
    return NetworkUpstream(
        target,
        HttpUpstream(
            target,
            connect_timeout=timeouts.connect,
            first_byte_timeout=timeouts.first_byte,
            idle_timeout=timeouts.idle,
            max_connections=route.max_concurrency or 1000,
            ssl_context=tls,
            health=health,
        ),
        WebSocketUpstream(target, connect_timeout=timeouts.connect, ssl_context=tls, health=health),
        hygiene,
        health,
    )
