"""The listening sockets of the front door. They are bound before anything else starts; children inherit them."""

from __future__ import annotations

import errno
import socket

from gateway.faults import CommandFault, UsageFault

BACKLOG = 2048
BOTH_LOOPBACKS = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))


def split_bind(bind: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port` into host and port. The settings have checked the form already."""
    host, _, port = bind.rpartition(":")
    return host.strip("[]"), int(port)


def bind_listeners(bind: str, *, fix: str) -> list[socket.socket]:
    """Bind and return listening sockets for `bind`. `localhost` means both loopback addresses: browsers try both.

    Raises:
        CommandFault: another program has the port; the message says to use `fix`.
        UsageFault: this machine cannot listen on the address at all.
    """
    host, port = split_bind(bind)
    if host != "localhost":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return [_listen(host, port, family=family, fix=fix)]
    sockets: list[socket.socket] = []
    for address, family in BOTH_LOOPBACKS:
        try:
            sockets.append(_listen(address, sockets[0].getsockname()[1] if sockets else port, family=family, fix=fix))
        except UsageFault:
            if not sockets:
                raise  # a machine may have no IPv6, but it must have 127.0.0.1
        except CommandFault:
            close_all(sockets)
            raise
    return sockets


def _listen(host: str, port: int, *, family: socket.AddressFamily, fix: str) -> socket.socket:
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise UsageFault(f"cannot listen on {host}: {exc.strerror}; choose another address with {fix}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise _fault(exc, host, port, fix=fix) from exc
    listener.setblocking(False)
    return listener


def _fault(exc: OSError, host: str, port: int, *, fix: str) -> CommandFault:
    if exc.errno == errno.EADDRINUSE:
        return CommandFault(f"port {port} on {host} is taken by another program; choose another with {fix}")
    if exc.errno in (errno.EACCES, errno.EPERM):
        return CommandFault(f"this user may not listen on port {port}; choose one above 1023 with {fix}")
    return UsageFault(f"cannot listen on {host}:{port}: {exc.strerror or exc}; choose another address with {fix}")


def port_of(sockets: list[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def close_all(sockets: list[socket.socket]) -> None:
    for listener in sockets:
        listener.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now. The kernel does not give it to others soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
