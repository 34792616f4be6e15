"""Service workers: scripts that go on answering for a folder of this origin after their page is closed. Pure.

One that answers for `/` answers for `/auth` too, after a sign-out and for the next person at this browser as well. So
browsers get no such script here unless a route allows it (W3C Service Workers; the browser names its request).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bff.errors import Forbidden

_NAMED: Final = b"service-worker"
_DESTINATION: Final = b"sec-fetch-dest"
MESSAGE: Final = "No service worker may be registered here."
CLEAR_STORAGE: Final = ("clear-site-data", '"storage"')
"""Drops what pages of the origin stored, their workers included (W3C Clear Site Data).

Never "cookies": those of this front door are removed by name, and others are the applications' own.
"""


def asks_for_worker(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for the request by which a browser fetches a worker's script, for a new worker and for its updates."""
    return any(
        (name == _NAMED and value.strip()) or (name == _DESTINATION and value.strip().lower() == b"serviceworker")
        for name, value in headers
    )


def refuse_worker(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Where no worker is served at all.

    Raises:
        Forbidden: `service_worker`.
    """
    if asks_for_worker(headers):
        raise Forbidden("service_worker", MESSAGE, detail="no worker is served here")
