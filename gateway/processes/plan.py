"""Plan the processes of a front door from its settings: listening sockets, workers, managed apps, workers' settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bff.settings.public_urls import PublicUrls
from bff.settings.tables import RouteSettings, Settings
from gateway.faults import CommandFault
from gateway.processes.children import ChildSpec, minimal_environment
from gateway.processes.listeners import bind_listeners, close_all, port_of, split_bind
from gateway.processes.managed_apps import find_apps, log_separations, private_places, separate_apps, worker_plan
from gateway.processes.readiness import http_probe
from gateway.processes.refused_paths import ALLOWED_BY
from gateway.processes.settings_text import to_pipe
from gateway.processes.streamlit import SCHEME, ManagedApp, build_child, host_of
from gateway.processes.supervisor import READY_SECONDS, supervise
from gateway.sandbox.reach import Secret
from gateway.sandbox.separation import Separation

WORKER = ("-m", "gateway.processes.worker")
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Bound sockets. `internal` is plain http on loopback: kits use it if the public listener has TLS. `verify` is
    where proxies ask (forward-auth)."""

    public: list[socket.socket]
    management: list[socket.socket]
    internal: list[socket.socket]
    verify: list[socket.socket]

    @property
    def all(self) -> list[socket.socket]:
        return [*self.public, *self.management, *self.internal, *self.verify]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """Every process to supervise. `settings` are those of the workers: managed apps are replaced by their addresses."""

    settings: Settings
    workers: tuple[ChildSpec, ...]
    apps: tuple[ChildSpec, ...]
    listeners: tuple[socket.socket, ...]
    internal_url: str
    """The address of the front door for programs on this machine."""
    separations: tuple[tuple[str, Separation], ...] = ()
    """How each app is separated, by name."""


def build_process_plan(
    settings: Settings,
    *,
    folder: Path,
    environ: Mapping[str, str] = os.environ,
    worker: Sequence[str] = WORKER,
    fix: str = "--port or server.bind",
    secrets: Sequence[Secret] = (),
) -> ProcessPlan:
    """Bind the sockets and plan the processes. Relative paths of managed apps are taken from `folder`.

    `secrets`: files that no app may reach.

    Raises:
        CommandFault: a port is taken, an app's script does not exist, or an app cannot be separated.
    """
    apps = find_apps(settings, folder=folder)
    separations = separate_apps(apps, settings, secrets=secrets, environ=environ)
    listeners = _bind(settings, for_kits=bool(apps), fix=fix)
    try:
        kit_url = _internal_url(settings, listeners)
        for_workers = _for_workers(settings, apps, listeners, kit_url=kit_url)
        base_path = PublicUrls(settings.server.public_url.rstrip("/")).base_path
        return ProcessPlan(
            settings=for_workers,
            workers=_workers(for_workers, listeners, folder=folder, environ=environ, program=worker),
            apps=tuple(
                build_child(app, settings, kit_url=kit_url + base_path, environ=environ, separation=separation)
                for app, separation in zip(apps, separations, strict=True)
            ),
            listeners=tuple(listeners.all),
            internal_url=kit_url + base_path,
            separations=tuple((app.name, found) for app, found in zip(apps, separations, strict=True)),
        )
    except BaseException:
        close_all(listeners.all)
        raise


def run_processes(
    plan: ProcessPlan,
    *,
    others: Sequence[ChildSpec] = (),
    apps_required: bool = False,
    allowed_by: str = ALLOWED_BY,
    on_ready: Callable[[], None] = lambda: None,
    ready_seconds: float = READY_SECONDS,
) -> int:
    """Supervise the processes of `plan` and `others` until a signal. Return the exit code of the command.

    If an app does not answer at the start, that is a fault with `apps_required`, and otherwise only logged.
    `allowed_by`: what allows a separated app to open more paths, for people.

    Raises:
        CommandFault: a required part did not answer.
    """
    log_separations(plan.separations, allowed_by=allowed_by)
    with private_places([app.plan for app in plan.apps if app.plan is not None]):
        return supervise(
            plan.workers,
            (*others, *(replace(app, required=apps_required, allowed_by=allowed_by) for app in plan.apps)),
            listeners=plan.listeners,
            log=plan.settings.log,
            on_ready=on_ready,
            ready_seconds=ready_seconds,
        )


def _bind(settings: Settings, *, for_kits: bool, fix: str) -> Listeners:
    """Bind all sockets or none. If the management port is the public port, it is reported as taken."""
    server = settings.server
    bound: list[list[socket.socket]] = []
    try:
        bound.append(bind_listeners(server.bind, fix=fix))
        bound.append(bind_listeners(server.management_bind, fix="server.management_bind"))
        bound.append(bind_listeners("127.0.0.1:0", fix="server.bind") if for_kits and server.tls.key_file else [])
        asked = settings.forward_auth
        bound.append(bind_listeners(asked.bind, fix="forward_auth.bind") if asked.modes else [])
    except CommandFault:
        close_all([listener for listeners in bound for listener in listeners])
        raise
    public, management, internal, verify = bound
    return Listeners(public=public, management=management, internal=internal, verify=verify)


def reachable(bind: str, sockets: list[socket.socket]) -> str:
    """Return the `host:port` at which programs on this machine reach what is bound to `bind`."""
    host, _ = split_bind(bind)
    host = ANY_ADDRESS.get(host, host)
    return f"[{host}]:{port_of(sockets)}" if ":" in host else f"{host}:{port_of(sockets)}"


def _internal_url(settings: Settings, listeners: Listeners) -> str:
    if listeners.internal:
        return "http://" + reachable("127.0.0.1:0", listeners.internal)
    scheme = "https" if settings.server.tls.key_file else "http"
    return f"{scheme}://{reachable(settings.server.bind, listeners.public)}"


def _for_workers(settings: Settings, apps: list[ManagedApp], listeners: Listeners, *, kit_url: str) -> Settings:
    """Return settings with the real ports, with the internal host allowed, and with addresses of managed apps."""
    server = settings.server
    hosts = dict.fromkeys((*server.internal_hosts, host_of(kit_url)))
    server = server.model_copy(
        update={
            "internal_hosts": tuple(hosts),
            "bind": _with_port(server.bind, listeners.public),
            "management_bind": _with_port(server.management_bind, listeners.management),
        }
    )
    routes = tuple(_by_address(route, apps) for route in settings.routes)
    return settings.model_copy(update={"server": server, "routes": routes})


def _with_port(bind: str, sockets: list[socket.socket]) -> str:
    return f"{bind.rpartition(':')[0]}:{port_of(sockets)}"


def _by_address(route: RouteSettings, apps: list[ManagedApp]) -> RouteSettings:
    """Return `route` with addresses instead of `streamlit:` targets. `streamlit.cwd` stays and marks it as Streamlit.
    A worker does not need the variables of the child."""
    own = [app for app in apps if app.route is route]
    if not own:
        return route
    addresses = iter(app.origin for app in own)
    upstream = tuple(next(addresses) if target.startswith(SCHEME) else target for target in route.upstream)
    child = route.streamlit.model_copy(update={"cwd": str(own[0].folder), "env": {}})
    return route.model_copy(update={"upstream": upstream, "streamlit": child})


def _workers(
    settings: Settings, listeners: Listeners, *, folder: Path, environ: Mapping[str, str], program: Sequence[str]
) -> tuple[ChildSpec, ...]:
    handed = to_pipe(settings)
    management = f"http://{reachable(settings.server.management_bind, listeners.management)}/healthz"
    environment, plan = worker_environment(environ), worker_plan()
    specs: list[ChildSpec] = []
    for number in range(settings.server.workers):
        # The first worker serves the management listener, so only its readiness can be probed.
        shown = {"--public": listeners.public, "--internal": listeners.internal, "--verify": listeners.verify}
        if number == 0:
            shown["--management"] = listeners.management
        flags = [f"{flag}={_descriptors(sockets)}" for flag, sockets in shown.items() if sockets]
        specs.append(
            ChildSpec(
                name=f"worker-{number}",
                program=(*program, *flags, f"--folder={folder.absolute()}"),
                environment=environment,
                handed=handed,
                plan=plan,
                descriptors=tuple(listener.fileno() for sockets in shown.values() for listener in sockets),
                ready=http_probe(management) if number == 0 else None,
                voice="own",
            )
        )
    return tuple(specs)


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for `asgi:` upstreams, without our settings: they come through the pipe."""
    foreign = {name: value for name, value in environ.items() if not name.upper().startswith("VESTIBULE_")}
    # Without this, the current folder comes first on the path, and a folder there named `gateway` would be imported.
    return foreign | minimal_environment(environ) | {"PYTHONSAFEPATH": "1"}


def _descriptors(sockets: list[socket.socket]) -> str:
    return ",".join(str(listener.fileno()) for listener in sockets)
