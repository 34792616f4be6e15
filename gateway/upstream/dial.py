"""Open a transport to an upstream. Every failure becomes an `UpstreamFailed`."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from bff.errors import UpstreamFailed
from gateway.targets import Target
from gateway.upstream.tls import connect_with_tls

P = TypeVar("P", bound=asyncio.BaseProtocol)

_PROBES = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""The kernel notices after half a minute that a host has disappeared, even while nothing is read."""


class DialFailed(UpstreamFailed):
    """No connection was made, so nothing of a request has been sent: it may go to another upstream."""


def client_tls(ca_file: str = "") -> ssl.SSLContext:
    """Build the TLS settings for an upstream. Certificate and name are always verified, against `ca_file` if given."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    target: Target, protocol: Callable[[], P], *, timeout_seconds: float, ssl_context: ssl.SSLContext | None = None
) -> P:
    """Connect and return the protocol made by `protocol`.

    Raises:
        DialFailed: `upstream_connect`, or `upstream_timeout` with status 504.
    """
    loop = asyncio.get_running_loop()
    transport: asyncio.BaseTransport
    tls = (ssl_context or client_tls()) if target.is_tls else None
    try:
        async with asyncio.timeout(timeout_seconds):
            if target.socket_path:
                _, made = await loop.create_unix_connection(protocol, target.socket_path)
                return made
            if tls is None:
                transport, made = await loop.create_connection(protocol, target.host, target.port)
            else:
                made = protocol()
                transport = await connect_with_tls(made, tls, host=target.host, port=target.port)
    except TimeoutError as exc:
        raise DialFailed("upstream_timeout", detail=f"no connection within {timeout_seconds:g} s", status=504) from exc
    except (OSError, UnicodeError) as exc:  # UnicodeError: a host name that the DNS cannot hold
        raise DialFailed("upstream_connect", detail=_reason(exc)) from exc
    _watch_for_silence(transport)
    return made


def _watch_for_silence(transport: asyncio.BaseTransport) -> None:
    connected: socket.socket | None = transport.get_extra_info("socket")
    if connected is None:
        return
    with suppress(OSError):
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES:
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _reason(exc: OSError | UnicodeError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {exc.verify_message}"
    return (exc.strerror if isinstance(exc, OSError) else "") or type(exc).__name__
