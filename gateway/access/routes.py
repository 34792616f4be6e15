"""The route table: find the route in `settings.routes` for a host and a canonical path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from bff.settings.public_urls import without_port
from bff.settings.tables import RouteSettings

REFUSED_METHODS: Final = frozenset({"TRACE", "CONNECT", "TRACK"})


class RouteTable:
    """Routes by prefix. The longest prefix that ends on a segment boundary wins; of equal ones, the one with the host.

    `/api` and `/api/` are the same prefix: they cover `/api`, `/api/` and `/api/x`, but not `/apiary`. An exact route
    covers its own path alone; what is beside or below it belongs to the next shorter prefix.
    """

    __slots__ = ("_by_prefix", "_deepest")

    def __init__(self, routes: Iterable[RouteSettings]) -> None:
        self._by_prefix: dict[str, dict[str, RouteSettings]] = {}
        for route in routes:
            self._by_prefix.setdefault(route.path.rstrip("/"), {}).setdefault(route.host.lower(), route)
        self._deepest = max((prefix.count("/") for prefix in self._by_prefix), default=0)

    def match(self, host: str, path: str) -> RouteSettings | None:
        """Find the route of a canonical `path`. `host` is the Host header, with or without a port."""
        for prefix in self._prefixes(path):
            hosts = self._by_prefix.get(prefix)
            if hosts is not None and (route := _serving(hosts, host, path)) is not None:
                return route
        return None

    def on_host(self, host: str) -> list[RouteSettings]:
        """Return the routes of `host` in the order of the configuration, without those that another route replaces."""
        return [route for hosts in self._by_prefix.values() if (route := _of_host(hosts, host)) is not None]

    def in_order(self) -> list[RouteSettings]:
        """Return all routes in the order in which they are tried: the longest prefix first, then those with a host."""
        deepest_first = sorted(self._by_prefix, key=lambda prefix: (-prefix.count("/"), prefix))
        return [
            route
            for prefix in deepest_first
            for _, route in sorted(self._by_prefix[prefix].items(), key=lambda one: (not one[0], one[0]))
        ]

    def _prefixes(self, path: str) -> Iterable[str]:
        """Yield the prefixes of `path` that end on a segment boundary, longest first, no deeper than the deepest
        route."""
        parts = path.split("/", self._deepest + 1)
        if len(parts) > self._deepest + 1:
            parts.pop()
        while parts:
            yield "/".join(parts)
            parts.pop()


def is_method_allowed(route: RouteSettings, method: str) -> bool:
    """True if `route` accepts `method`. An empty list accepts all but TRACE, CONNECT and TRACK. GET includes HEAD."""
    if method in REFUSED_METHODS:
        return False
    if not route.methods:
        return True
    allowed = {name.upper() for name in route.methods}
    return method in allowed or (method == "HEAD" and "GET" in allowed)


def _serving(hosts: Mapping[str, RouteSettings], host: str, path: str) -> RouteSettings | None:
    """Return the route at one prefix that serves `path`. If an exact one does not, the route for every host counts."""
    route = _of_host(hosts, host)
    if route is None or not route.exact or path == route.path:
        return route
    others = {name: one for name, one in hosts.items() if one is not route}
    return _serving(others, host, path)


def _of_host(hosts: Mapping[str, RouteSettings], host: str) -> RouteSettings | None:
    if len(hosts) == 1 and "" in hosts:
        return hosts[""]
    name = host.lower()
    return hosts.get(name) or hosts.get(without_port(name)) or hosts.get("")
