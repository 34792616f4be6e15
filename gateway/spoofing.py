"""Clients that name themselves in headers: removed from every request (`gateway.headers`), noted now and then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from bff.addresses import address_group
from bff.audit import Audit
from gateway.forwarded import ClientEndpoint
from gateway.headers import says_who_somebody_is

AGAIN_SECONDS = 60
MAX_REMEMBERED = 1_000


class SpoofedIdentities:
    """One event per client and minute: an attempt is worth a line, a flood of them is not worth a full disk."""

    def __init__(self, audit: Audit, *, clock: Callable[[], float]) -> None:
        self._audit = audit
        self._clock = clock
        self._noted: OrderedDict[str, float] = OrderedDict()

    def note(self, headers: Iterable[tuple[bytes, bytes]], client: ClientEndpoint, *, route: str) -> None:
        """Leave an event when `headers` say who somebody is; trusted proxies may add such headers of their own."""
        if client.is_through_proxy or not any(says_who_somebody_is(name) for name, _ in headers):
            return
        group, now = address_group(client.address), self._clock()
        if now - self._noted.get(group, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._noted[group] = now
        self._noted.move_to_end(group)
        while len(self._noted) > MAX_REMEMBERED:
            self._noted.popitem(last=False)
        self._audit.event("request_refused", reason="identity_headers_removed", route=route)
