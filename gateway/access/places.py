"""Which place of the front door a path leads to: what routes, reserved names and Streamlit's addresses distinguish."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from bff.browser.path_readings import fold
from bff.contract import OAUTH2_PATH
from bff.errors import BadRequest
from bff.settings.tables import RouteSettings
from gateway.access.paths import check_one_place, is_plain, refuse_encoded_slash
from gateway.access.routes import RouteTable

HEALTH: Final = "/healthz"

Treatment = Callable[[str, RouteSettings], Hashable]
"""Says what is special about a path on its route, such as Streamlit's stream or an upload."""


class Places:
    """Refuses a path that another reader would find in another place. Made once, for the whole route table."""

    def __init__(self, routes: Sequence[RouteSettings], *, auth_path: str, treatment: Treatment) -> None:
        self._routes = RouteTable(routes)
        self._folded = RouteTable([route.model_copy(update={"path": fold(route.path)}) for route in routes])
        self._reserved = (auth_path, OAUTH2_PATH, HEALTH)
        self._folded_reserved = tuple(fold(name) for name in self._reserved)
        self._treatment = treatment
        names = (auth_path, *(route.path for route in routes))
        self._is_lower_case = all(fold(name) == name for name in names)

    def check(self, host: str, path: str, *, raw_path: bytes) -> None:
        """Refuse the canonical `path` of `raw_path` if its readings do not all lead to the same place of `host`.

        Raises:
            BadRequest: `ambiguous_path`.
        """
        if is_plain(raw_path):
            if self._is_lower_case and path == path.lower():
                return  # the usual path: it has one reading, and case makes no difference
        else:
            route = self._routes.match(host, path)
            if route is None or not route.encoded_slashes or self._name_of(path, self._reserved):
                refuse_encoded_slash(raw_path)
        check_one_place(
            raw_path, path, place=lambda one: self._place(host, one), folded=lambda one: self._folded_place(host, one)
        )

    def is_one_place(self, host: str, path: str) -> bool:
        """True if all readings of a canonical `path` lead to the same place, for all bytes that it can come from."""
        try:
            check_one_place(
                path.encode("utf-8", "surrogateescape"),
                path,
                place=lambda one: self._place(host, one),
                folded=lambda one: self._folded_place(host, one),
            )
        except BadRequest:
            return False
        return True

    def name(self, host: str, path: str) -> str:
        """Say where a reading of a path leads, for people: a reserved address, a route, or no route."""
        if name := self._name_of(fold(path), self._folded_reserved):
            return f"the reserved address {name}"
        route = self._folded.match(host, fold(path))
        return f"the route {route.id}" if route is not None else "no route"

    def _place(self, host: str, path: str) -> Hashable:
        if name := self._name_of(path, self._reserved):
            return fold(name)
        route = self._routes.match(host, path)
        return None if route is None else (route.id, self._treatment(path, route))

    def _folded_place(self, host: str, path: str) -> Hashable:
        if name := self._name_of(path, self._folded_reserved):
            return name
        route = self._folded.match(host, path)
        return None if route is None else (route.id, self._treatment(path, route))

    @staticmethod
    def _name_of(path: str, names: Sequence[str]) -> str:
        return next((name for name in names if path == name or path.startswith(name + "/")), "")
