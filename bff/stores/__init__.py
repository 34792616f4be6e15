"""Stores of sessions, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable

from bff.session import Store
from bff.settings import Settings
from bff.stores.memory import MemoryStore


class StoreNotSupported(ValueError):
    """The URL names a store this version cannot open."""


def open_store(settings: Settings, *, clock: Callable[[], float]) -> Store:
    """The store of `settings.store.url`.

    Raises:
        StoreNotSupported: the kind is not built into this version.
    """
    url = settings.store.url.get_secret_value()
    if url.startswith("memory://"):
        return MemoryStore(clock=clock)
    raise StoreNotSupported(f"store.url: {url.partition('://')[0]}:// is not available in this version; use memory://")
