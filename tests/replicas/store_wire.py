"""The network between the front doors and their Redis. A test can cut and restore it from its own thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.bff.stores.tcp_proxy import TcpProxy, tcp_proxy
from tests.fakes import LoopThread


class StoreWire:
    """A TCP proxy before one Redis, with its own event loop."""

    def __init__(self, proxy: TcpProxy, loop: LoopThread) -> None:
        self._proxy = proxy
        self._loop = loop

    @property
    def url(self) -> str:
        """What the front doors use as `store.url`."""
        return f"redis://127.0.0.1:{self._proxy.port}/3"

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Reset every connection, and each new one, until the end of the context."""
        self._loop.run(self._do(self._proxy.cut))
        try:
            yield
        finally:
            self._loop.run(self._do(self._proxy.restore))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Connections stay open, but no data passes, as with a firewall that drops packets."""
        self._loop.run(self._do(self._proxy.hold))
        try:
            yield
        finally:
            self._loop.run(self._do(self._proxy.restore))

    @staticmethod
    async def _do(step: object) -> None:
        assert callable(step)
        step()


@contextmanager
def store_wire(port: int) -> Iterator[StoreWire]:
    """A wire to the Redis on `port`."""
    loop = LoopThread().start()
    standing = tcp_proxy(port)
    proxy = loop.run(standing.__aenter__())
    try:
        yield StoreWire(proxy, loop)
    finally:
        loop.run(standing.__aexit__(None, None, None))
        loop.stop()
