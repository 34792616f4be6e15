"""One worker process. It gets settings from standard input and sockets by descriptor, and serves until it is stopped.

The supervisor starts it as `-m gateway.processes.worker`. Its arguments and its environment hold no secrets.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
import uvloop

from bff.settings.loading import ConfigurationError
from bff.settings.tables import Settings
from bff.stores import StoreNotSupported
from gateway.faults import EXIT_OK, EXIT_USAGE
from gateway.logs import configure_logging
from gateway.processes.settings_text import from_pipe
from gateway.sandbox.privileges import refuse_inspection
from gateway.serving.server import (
    Application,
    GuardedServer,
    adopt,
    build_server,
    build_verify_server,
    count_connections,
    wait_until_started,
)

APP = "gateway.app:create_app"
VERIFY_APP = "gateway.forward_auth.app:create_verify_app"
MANAGEMENT_APP = "gateway.management.app:create_management_app"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, and return the exit code. It is 2 if the settings cannot work: a restart would not change that."""
    refuse_inspection()  # before the secrets arrive
    given = _parse(arguments)
    settings = from_pipe(sys.stdin.buffer.read())
    configure_logging(settings.log)
    _raise_descriptor_limit()
    sys.path.append(given.folder)  # for `asgi:` upstreams; last, as a folder there may have the name of one of ours
    try:
        app = _factory(given.app)(settings)
        management = _factory(given.management_app)(app) if given.management else None
        verify = _factory(given.verify_app)(app) if given.verify else None
    except (ConfigurationError, StoreNotSupported) as exc:
        structlog.get_logger("vestibule.worker").error("settings refused", reason=str(exc))
        return EXIT_USAGE
    uvloop.run(serve(_servers(app, management, verify, settings, given)))
    return EXIT_OK


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gateway.processes.worker", allow_abbrev=False)
    parser.add_argument("--public", type=_descriptors, required=True)
    parser.add_argument("--management", type=_descriptors, default=())
    parser.add_argument("--internal", type=_descriptors, default=())
    parser.add_argument("--verify", type=_descriptors, default=())
    parser.add_argument("--folder", default=".")
    parser.add_argument("--app", default=APP)
    parser.add_argument("--management-app", default=MANAGEMENT_APP)
    parser.add_argument("--verify-app", default=VERIFY_APP)
    return parser.parse_args(arguments)


def _raise_descriptor_limit() -> None:
    """Allow as many open files as the system permits: shells start programs with 1024, a tenth of what we need."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # if the system refuses, we work with fewer
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _descriptors(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _factory(dotted: str) -> Callable[..., Application]:
    module, _, name = dotted.partition(":")
    factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return factory


Listening = tuple[GuardedServer, Sequence[int]]


def _servers(
    app: Application,
    management: Application | None,
    verify: Application | None,
    settings: Settings,
    given: argparse.Namespace,
) -> list[Listening]:
    """Return the public server, which runs the lifespan, and the others. All of them count connections together."""
    connections = count_connections(settings)
    servers = [(build_server(app, settings, connections=connections), given.public)]
    if given.internal:
        plain = build_server(app, settings, lifespan="off", connections=connections, tls=False)
        servers.append((plain, given.internal))
    if verify is not None:
        servers.append((build_verify_server(verify, settings, connections=connections), given.verify))
    if management is not None:
        servers.append((build_server(management, settings, lifespan="off", tls=False), given.management))
    return servers


async def serve(servers: Sequence[Listening]) -> None:
    """Run the first server, then the others, until SIGTERM or SIGINT. The first server ends last."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    (first, descriptors), *rest = servers
    task = asyncio.create_task(first.serve(sockets=adopt(descriptors)))
    await wait_until_started(first, task)
    for server, descriptors in rest:
        first.dependants.append(asyncio.create_task(server.serve(sockets=adopt(descriptors))))
    await asyncio.gather(task, *first.dependants)


if __name__ == "__main__":
    sys.exit(main())
