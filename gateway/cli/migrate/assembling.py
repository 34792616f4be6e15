"""Build `vestibule.toml` from a draft, with a comment that says which option each value came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import tomlkit
from tomlkit.items import Table

from gateway.cli.migrate.draft import SECRETS, Draft, OpenPath, Upstream
from gateway.cli.migrate.people import build_rules

KEYS: Final = "keys"
ADMIN_TOKEN: Final = "admin-token"
_HEAD: Final = "Made by `vestibule migrate oauth2-proxy`. The comment beside a value names the option it came from."
_ORDER: Final[tuple[str, ...]] = (
    "id",
    "path",
    "exact",
    "methods",
    "upstream",
    "kind",
    "auth",
    "require",
    "identity_headers",
    "token",
)


def build_tables(draft: Draft) -> dict[str, Any]:
    """Build all tables of the configuration."""
    require, roles = build_rules(draft.rules)
    upstreams = draft.upstreams or [Upstream("/", "")]
    closed = [one for one in upstreams if one.path.rstrip("/") not in draft.open_paths]
    routes = [_route(draft, one, require) for one in closed]
    routes += [_open_route(draft, one, upstreams) for one in draft.open_paths.values()]
    _name(routes)
    tables: dict[str, Any] = {
        "server": draft.server,
        "secrets": {"keys_file": f"{SECRETS}/{KEYS}", "admin_token_file": f"{SECRETS}/{ADMIN_TOKEN}"},
        "store": draft.store,
        "session": draft.session,
        "providers": {draft.product.name: draft.provider},
        "roles": roles,
        "routes": routes,
        "log": draft.log,
        "compat": {"oauth2_proxy": True},
    }
    if not draft.upstreams:
        tables["forward_auth"] = {"modes": ["nginx"]}
    return {name: table for name, table in tables.items() if table}


def _route(draft: Draft, upstream: Upstream, require: Mapping[str, Any]) -> dict[str, Any]:
    target = {"upstream": upstream.target} if upstream.target else {}
    rule = {"require": dict(require)} if require else {}
    exact = {"exact": True} if upstream.is_exact else {}
    return {"path": upstream.path, **exact, **target, "kind": "page", **draft.route, **upstream.keys, **rule}


def _behind(path: OpenPath, upstreams: list[Upstream]) -> Upstream:
    """Return the server that oauth2-proxy would ask: the one with the longest path that holds this one."""
    holding = [one for one in upstreams if one.holds(path.path)]
    return max(holding, key=lambda one: len(one.path))


def _open_route(draft: Draft, path: OpenPath, upstreams: list[Upstream]) -> dict[str, Any]:
    """Build a route that everybody may use; it tells the application who is there if somebody is signed in."""
    route = _route(draft, _behind(path, upstreams), {})
    passes = draft.route.get("identity_headers") != "none" or "token" in draft.route
    route |= {"path": path.path, "exact": path.is_exact, "auth": "optional" if passes else "public"}
    if not path.is_exact:
        del route["exact"]
    if not passes:
        for key in ("claim_headers", "accept_bearer", "token"):
            route.pop(key, None)
    if path.methods:
        route["methods"] = list(path.methods)
    return route


def _name(routes: list[dict[str, Any]]) -> None:
    """Give each route an id made of its path."""
    seen: set[str] = set()
    for route in routes:
        name = re.sub(r"[^a-z0-9]+", "-", route["path"].lower()).strip("-")[:50] or "everything"
        name = f"open-{name}" if route.get("auth") in ("optional", "public") else name
        unique = next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in seen)
        seen.add(unique)
        named = {"id": unique, **route}
        first = {key: named[key] for key in _ORDER if key in named}
        route.clear()
        route |= {**first, **named}


def build_toml(draft: Draft, tables: Mapping[str, Any]) -> str:
    """Write the tables as TOML."""
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    document.add(tomlkit.comment(f"People open {urlsplit(draft.public_url).netloc}."))
    for name, value in tables.items():
        if name in ("providers", "roles"):
            group = tomlkit.table(is_super_table=True)
            for inner, table in value.items():
                group.append(inner, _table(f"{name}.{inner}", table, draft))
            document.append(name, group)
        elif name == "routes":
            rows = tomlkit.aot()
            for route in value:
                rows.append(_table(name, route, draft))
            document.append(name, rows)
        else:
            document.append(name, _table(name, value, draft))
    return tomlkit.dumps(document).strip()


def _table(place: str, values: Mapping[str, Any], draft: Draft) -> Table:
    """Build one table. Small tables inside are written inline, so that a route stays one block."""
    table = tomlkit.table()
    for key, value in values.items():
        item = tomlkit.item(_inline(value) if isinstance(value, Mapping) else value)
        if option := draft.comments.get(f"{place}.{key}"):
            item.comment(option)
        table.append(key, item)
    return table


def _inline(values: Mapping[str, Any]) -> Any:
    inline = tomlkit.inline_table()
    for key, value in values.items():
        inline.append(key, _inline(value) if isinstance(value, Mapping) else value)
    return inline
