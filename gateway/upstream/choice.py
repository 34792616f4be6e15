"""The upstreams of all routes: one client per target and process, and the choice among several targets."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from bff.settings.tables import RouteSettings, Settings
from gateway.headers.dropped import DroppedHeaders
from gateway.headers.request import RequestHygiene, owned_claim_headers
from gateway.headers.response import ResponseHygiene
from gateway.targets import parse_target
from gateway.upstream.asgi import AsgiUpstream
from gateway.upstream.dial import client_tls
from gateway.upstream.http import HttpUpstream
from gateway.upstream.websocket_client import WebSocketUpstream


@dataclass(frozen=True, slots=True)
class NetworkUpstream:
    """One server behind a route, for requests and for sockets."""

    name: str
    http: HttpUpstream
    websocket: WebSocketUpstream
    responses: ResponseHygiene


@dataclass(frozen=True, slots=True)
class LocalUpstream:
    """An ASGI application in this process."""

    name: str
    application: AsgiUpstream
    responses: ResponseHygiene


Upstream = NetworkUpstream | LocalUpstream


@dataclass(frozen=True, slots=True)
class RouteUpstreams:
    """A route's upstreams, and its rules for headers. `prefix` is removed from the path; "" removes nothing."""

    route: RouteSettings
    requests: RequestHygiene
    prefix: str
    upstreams: tuple[Upstream, ...]
    _turn: count[int] = field(default_factory=count)

    def choose(self, session_name: str) -> Upstream:
        """Choose the upstream for a session. A page always gets the same one (rendezvous hashing), because Streamlit's
        socket, uploads and media must reach one server."""
        if len(self.upstreams) == 1:
            return self.upstreams[0]
        if self.route.kind == "page":
            return max(self.upstreams, key=lambda upstream: _weight(upstream.name, session_name))
        return self.upstreams[next(self._turn) % len(self.upstreams)]

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            if isinstance(upstream, NetworkUpstream):
                await upstream.http.aclose()
            else:
                await upstream.application.stop()


def build_upstreams(settings: Settings, *, base_path: str) -> Mapping[str, RouteUpstreams]:
    """The upstreams of all routes that have any, by route id."""
    owned = owned_claim_headers(name for route in settings.routes for name in route.claim_headers)
    return {
        route.id: _route_upstreams(route, owned, base_path=base_path) for route in settings.routes if route.upstream
    }


def _route_upstreams(route: RouteSettings, owned: frozenset[bytes], *, base_path: str) -> RouteUpstreams:
    prefix = (base_path + route.path).rstrip("/") if route.strip_prefix else ""
    dropped = DroppedHeaders(route.id, monotonic=time.monotonic)
    return RouteUpstreams(
        route=route,
        requests=RequestHygiene(owned, route.forward_headers, route.forward_cookies),
        prefix=prefix,
        upstreams=tuple(_upstream(target, route, prefix=prefix, dropped=dropped) for target in route.upstream),
    )


def _upstream(target: str, route: RouteSettings, *, prefix: str, dropped: DroppedHeaders) -> Upstream:
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
    return NetworkUpstream(
        target,
        HttpUpstream(
            target,
            connect_timeout=timeouts.connect,
            first_byte_timeout=timeouts.first_byte,
            idle_timeout=timeouts.idle,
            max_connections=route.max_concurrency or 1000,
            ssl_context=tls,
        ),
        WebSocketUpstream(target, connect_timeout=timeouts.connect, ssl_context=tls),
        hygiene,
    )


def _weight(upstream: str, session_name: str) -> bytes:
    return hashlib.sha256(f"{upstream}|{session_name}".encode()).digest()
