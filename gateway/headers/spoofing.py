"""Events about clients that send identity headers or pretend to be a proxy. `gateway.headers.request` removes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from bff.audit import Audit
from bff.browser.addresses import address_group
from gateway.headers.forwarded import ClientEndpoint
from gateway.headers.request import RequestHygiene

AGAIN_SECONDS = 60
MAX_REMEMBERED = 1_000


class SpoofedIdentities:
    """Leaves one event per client and minute: an attempt deserves a line, but a flood must not fill the disk."""

    def __init__(self, audit: Audit, *, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(
        self, headers: Iterable[tuple[bytes, bytes]], client: ClientEndpoint, hygiene: RequestHygiene, *, route: str
    ) -> None:
        """Leave an event if `headers` say who somebody is. Trusted proxies may add such headers themselves."""
        if client.is_through_proxy or not (entry := hygiene.removed_identity(headers)):
            return
        if self._is_due("identity_headers_removed", client):
            self._audit.event("request_refused", reason="identity_headers_removed", route=route, detail=entry)

    def note_unproven_proxy(self, client: ClientEndpoint) -> None:
        """Leave an event if forwarded headers came from a proxy's address without the proxy's secret."""
        if client.is_unproven_proxy and self._is_due("proxy_secret", client):
            self._audit.event("request_refused", reason="proxy_secret")

    def _is_due(self, reason: str, client: ClientEndpoint) -> bool:
        """True once a minute for each reason and client."""
        key, now = (reason, address_group(client.address)), self._clock()
        if now - self._noted.get(key, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        self._noted[key] = now
        self._noted.move_to_end(key)
        while len(self._noted) > MAX_REMEMBERED:
            self._noted.popitem(last=False)
        return True
