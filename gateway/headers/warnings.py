"""Warnings about `forward_headers` that do more or less than they seem to: for `config check`, log and doctor. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bff.settings.header_names import added_header_names
from bff.settings.rules import Fault
from bff.settings.tables import RouteSettings, Settings
from gateway.headers.foreign_identity import foreign_name, named_in_full
from gateway.headers.request import RequestHygiene, owned_headers


def find_header_warnings(settings: Settings, *, source: str) -> Iterator[Fault]:
    """Yield a warning for each header that a route lists by its full name and that is an identity or never passes."""
    owned = owned_headers(added_header_names(settings.routes))
    for number, route in enumerate(settings.routes):
        if route.forward_headers == "all":
            continue
        hygiene = RequestHygiene(owned, route.forward_headers)
        for name in sorted(named_in_full(route.forward_headers)):
            for message, fix in _warnings(name, route, hygiene):
                yield Fault(source, f"routes[{number}].forward_headers", message, fix, route.id)


def _warnings(name: bytes, route: RouteSettings, hygiene: RequestHygiene) -> Iterator[tuple[str, str]]:
    shown = name.decode("latin-1")
    if not hygiene.clean([(name, b"a=1")], keep_authorization=route.auth == "public"):
        yield f"names {shown}, which a client never sends through here", "remove it"
    elif foreign_name(name):
        message = f"lets clients send {shown}, by which other proxies say who somebody is"
        yield message, "remove it, unless the application uses it for something else"
