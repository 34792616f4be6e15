"""The route table as a list, in the order in which routes are tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bff.settings.public_urls import all_origins
from bff.settings.tables import RouteSettings, Settings
from gateway.access.routes import RouteTable
from gateway.cli.routes.requirements import written

HEAD = ("route", "hosts", "path", "kind", "auth", "requires", "upstream")


def list_routes(settings: Settings) -> list[dict[str, Any]]:
    """Return one entry for each route. `hosts` are those where the route can be reached."""
    table = RouteTable(settings.routes)
    hosts = list(all_origins(settings.server))
    return [
        {
            "id": route.id,
            "hosts": [host for host in hosts if _is_reached(route, host, table)],
            "path": route.path,
            "exact": route.exact,
            "methods": list(route.methods),
            "kind": route.kind,
            "auth": route.auth,
            "provider": route.provider,
            "require": route.require.model_dump(mode="json", exclude_defaults=True),
            "token": route.token,
            "upstream": list(route.upstream),
        }
        for route in table.in_order()
    ]


def as_table(settings: Settings) -> str:
    """Write the list with one line for each route."""
    if not settings.routes:
        return "no route"
    known = {route.id: route for route in settings.routes}
    rows = [
        (
            one["id"],
            ",".join(one["hosts"]) or "(none)",
            f"{one['path']} (exact)" if one["exact"] else one["path"],
            one["kind"],
            one["auth"],
            _requires(known[one["id"]]),
            ",".join(one["upstream"]) or "(forward-auth)",
        )
        for one in list_routes(settings)
    ]
    return _columns([HEAD, *rows])


def _is_reached(route: RouteSettings, host: str, table: RouteTable) -> bool:
    """True if some path at `host` belongs to the route: no other one has the same path there."""
    below = route.path.rstrip("/") + "/"
    return any(table.match(host, path) is route for path in (route.path, below))


def _requires(route: RouteSettings) -> str:
    given = route.require.model_dump(exclude_defaults=True)
    parts = [f"{key} = {written(value)}" for key, value in given.items()]
    parts += [f"provider = {written(route.provider)}"] if route.provider else []
    parts += [f"methods = {written(route.methods)}"] if route.methods else []
    return "; ".join(parts) or "-"


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)
