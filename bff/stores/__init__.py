"""Stores of sessions, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable

from bff.settings.tables import Settings
from bff.stores.memory import MemoryStore
from bff.stores.protocol import Store
from bff.stores.redis_url import KINDS, RedisUrlRejected, missing_files, parse_redis_url


class StoreNotSupported(ValueError):
    """The URL names a store that cannot be opened; the message says why and never repeats the URL."""


def open_store(settings: Settings, *, clock: Callable[[], float]) -> Store:
    """Return the store of `settings.store.url`. This opens no connection; the first operation does.

    `clock` is the time of the memory store; Redis has its own.

    Raises:
        StoreNotSupported: the kind is unknown, the URL is malformed, or a certificate file does not exist.
    """
    url = settings.store.url.get_secret_value()
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return MemoryStore(clock=clock)
    if scheme not in KINDS:
        raise StoreNotSupported("store.url: unknown kind of store; use memory:// or one of the kinds of Redis")
    try:
        target = parse_redis_url(url)
    except RedisUrlRejected as exc:
        raise StoreNotSupported(f"store.url: {exc}") from None
    if missing := missing_files(target):
        raise StoreNotSupported(f"store.url: no such file for {', '.join(missing)}")
    from bff.stores.redis import RedisStore  # a front door without Redis starts sooner without its client library

    try:
        return RedisStore(target, prefix=settings.store.prefix, timeout=settings.store.timeout_seconds)
    except OSError as exc:
        raise StoreNotSupported("store.url: the certificate files cannot be used") from exc
