"""Refuse service workers: scripts that keep answering for a folder of this origin after their page is closed. Pure.

A worker for `/` also answers for `/auth`: after a sign-out too, and for the next person at this browser. So browsers
get no such script here unless a route allows it (W3C Service Workers: the browser marks the request with a header).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bff.errors import Forbidden

_NAMED: Final = b"service-worker"
_DESTINATION: Final = b"sec-fetch-dest"
MESSAGE: Final = "No service worker may be registered here."
CLEAR_STORAGE: Final = ("clear-site-data", '"storage"')
"""Removes what pages of the origin stored, and their workers (W3C Clear Site Data).

It never says "cookies": the front door removes its own cookies by name, and the others belong to the applications.
"""


def asks_for_worker(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True if a browser fetches a worker's script with this request, for a new worker or for an update."""
    return any(
        (name == _NAMED and value.strip()) or (name == _DESTINATION and value.strip().lower() == b"serviceworker")
        for name, value in headers
    )


def refuse_worker(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse the script of a worker, for addresses that serve no workers.

    Raises:
        Forbidden: `service_worker`.
    """
    if asks_for_worker(headers):
        raise Forbidden("service_worker", MESSAGE, detail="no worker is served here")
