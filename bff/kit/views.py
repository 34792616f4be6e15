"""What the pages of a kit client may see of a session: the groups that their routes show, and the routes to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bff.access.forwarded_identity import forwarded, forwarded_to_audience, forwarded_to_kit
from bff.sessions.record import Session
from bff.settings.public_urls import PublicUrls, urls_of_origin
from bff.settings.tables import KitClientSettings, RouteSettings


@dataclass(frozen=True, slots=True)
class KitViews:
    """The views of all kit clients. `origins` has every public origin by Host."""

    clients: Mapping[str, KitClientSettings]
    routes: tuple[RouteSettings, ...]
    origins: Mapping[str, PublicUrls]

    def seen(self, session: Session, client: str) -> Session:
        """Return `session` with only the groups that pages of `client` may see."""
        return replace(session, identity=forwarded(session.identity, forwarded_to_kit(client, self.routes)))

    def told(self, session: Session, client: str, *, audience: str) -> Session:
        """Return `session` as `client` may tell it to `audience`, if the client has no route to it.

        The client can read such a token. So the token has only the groups that both may see.
        """
        seen = self.seen(session, client)
        return replace(seen, identity=forwarded(seen.identity, forwarded_to_audience(audience, self.routes)))

    def route_paths(self, session: Session, client: str) -> dict[str, str]:
        """Map route id to path, below the public URL, for the client's routes at the origin of `session`."""
        # Nobody decides here whether the person may use them. The names are in the page's code, and the list is signed
        # for as long as the session, while a decision changes with time. A call of a refused route gets 403 with the
        # reason; if the list left the route out, the kit would report a fault of the page instead.
        urls = urls_of_origin(self.origins, session.origin)
        known = {route.id: route for route in self.routes}
        own = [known[route_id] for route_id in self.clients[client].routes if route_id in known]
        return {route.id: route.path for route in own if urls and urls.has(route.host)}
