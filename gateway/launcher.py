"""The page at `/` if there is no route: it lists the applications that this person may open."""

from __future__ import annotations

from collections.abc import Iterable

from bff import contract
from bff.access.policy import Denied, decide
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import RouteSettings
from bff.web.pages import Page, render_page
from gateway.access.session_cache import LiveSession


def launcher_page(live: LiveSession, routes: Iterable[RouteSettings], *, urls: PublicUrls, now: float) -> Page:
    """Build the page for the person of `live`. `urls` and `routes` are those of the requested host."""
    base = urls.base_path
    apps = [
        {"href": base + route.path, "title": route.title or route.id}
        for route in routes
        if route.kind == "page" and _is_open_to(route, live, now=now)
    ]
    identity = live.identity
    return render_page(
        "launcher.html",
        name=identity.name or identity.email or identity.sub,
        apps=apps,
        logout_url=base + urls.auth_path + contract.PATH_LOGOUT,
    )


def _is_open_to(route: RouteSettings, live: LiveSession, *, now: float) -> bool:
    return not isinstance(decide(route, live.identity, scopes=live.scopes, now=now), Denied)
