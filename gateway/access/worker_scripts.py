"""Decide which service workers a route may serve: only those whose folder belongs only to this route. Pure.

A worker controls at most the folder of its script, because `Service-Worker-Allowed` never reaches a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bff.browser.service_workers import CLEAR_STORAGE, MESSAGE
from bff.errors import Forbidden
from bff.settings.tables import RouteSettings
from gateway.access.routes import RouteTable
from gateway.headers.request import RawHeaders

_SCRIPT: Final = b"script"
_NAME: Final = b"Service-Worker"


def check_worker_script(
    path: str, route: RouteSettings | None, *, host: str, routes: RouteTable, auth_path: str
) -> None:
    """Refuse a worker's script at the canonical `path`, unless `route` allows workers and owns the whole folder.

    A host that clears storage at sign-out also does so here. Browsers fetch a worker's script again after a visit,
    without asking the worker, so this ends even a worker that answers every request itself.

    Raises:
        Forbidden: `service_worker`.
    """
    here = routes.on_host(host)
    if why := _why_refused(path, route, here, auth_path=auth_path):
        clears = any(one.clear_storage_at_sign_out for one in here)
        raise Forbidden("service_worker", MESSAGE, detail=why, headers=dict([CLEAR_STORAGE]) if clears else None)


def _why_refused(path: str, route: RouteSettings | None, here: Sequence[RouteSettings], *, auth_path: str) -> str:
    """Say why a worker at `path` is refused, "" if it is not. `here` are the routes of the host."""
    if route is None or not route.service_workers:
        return "the route does not say service_workers = true"
    folder = path[: path.rindex("/") + 1]
    if not folder.startswith(_folder_of(route.path)):
        return f"the script's folder {folder} is more than the route has"
    if _folder_of(auth_path).startswith(folder):
        return f"the script's folder {folder} holds {auth_path}"
    others = [other.id for other in here if other is not route and _folder_of(other.path).startswith(folder)]
    return f"the script's folder {folder} holds the route {others[0]}" if others else ""


def keep_from_workers(headers: RawHeaders) -> RawHeaders:
    """Keep the browser from using a cached script, fetched for another purpose, as a worker's script.

    With `updateViaCache: "all"` a browser looks into its cache first, and would not ask the front door.
    """
    if not any(name == b"content-type" and _SCRIPT in value.lower() for name, value in headers):
        return headers
    return [*headers, (b"vary", _NAME)]


def _folder_of(path: str) -> str:
    return path.rstrip("/") + "/"
