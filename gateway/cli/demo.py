"""`vestibule demo`: run the whole system with a small real application on one machine, without further set-up."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gateway.cli.development import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    HOST,
    Person,
    Scene,
    api_variables,
    build_settings,
    provider_child,
    remote_hints,
    require_module,
    validate_host,
    welcome,
)
from gateway.faults import UsageFault
from gateway.logs import configure_logging
from gateway.processes.children import ChildSpec, minimal_environment
from gateway.processes.listeners import free_port
from gateway.processes.plan import build_process_plan, run_processes
from gateway.processes.readiness import http_probe
from gateway.sandbox.interpreters import PACKAGES_FOLDER

FOLDER = PACKAGES_FOLDER / "deploy" / "demo"
AUDIENCE = "models-api"
CLIENT = "dashboards"
PEOPLE = (Person("alice", ("analyst", "admin")), Person("bob", ("viewer",)))
PASSED_TO_API = ("COLONY_SIMULATION_SECONDS",)
HINTS = (
    "The mock provider has no passwords. It also takes any other name, with the roles that you enter there.",
    "alice may do everything. Try Explore, Predict, Simulate, and reload while it runs;",
    "open a second tab, sign out there, and look at the first.",
    "bob gets a clear no on Predict and on the Admin card of Start.",
)


def run_demo(
    *,
    port: int = DEFAULT_PORT,
    host: str = DEFAULT_HOST,
    folder: Path = FOLDER,
    port_option: str = "--port",
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Start provider, API, app and front door, print their address, and run until a signal. Return the exit code.

    `port_option` is the option that the message about a taken port names.

    Raises:
        CommandFault: the port is taken, the application does not exist, or a part does not answer.
    """
    validate_host(host)
    folder = folder.absolute()
    for name in ("app.py", "api.py"):
        if not (folder / name).is_file():
            raise UsageFault(f"no {name} in {folder}; run this from a checkout, or name its deploy/demo with --folder")
    require_module("streamlit", "streamlit")
    scene = Scene(
        port=port,
        host=host,
        provider_port=free_port(),
        app=folder / "app.py",
        app_id=CLIENT,
        app_title="Rookery",
        api_port=free_port(),
        audience=AUDIENCE,
    )
    settings = build_settings(scene)
    configure_logging(settings.log)
    ending = f"End a session at the provider, {scene.issuer}/, and the tabs of that person follow."
    hints = (*HINTS, ending, *remote_hints(scene, environ=environ))
    plan = build_process_plan(settings, folder=folder, environ=environ, fix=port_option)
    return run_processes(
        plan,
        others=(provider_child(scene, PEOPLE, environ=environ), _api_child(scene, folder, environ=environ)),
        on_ready=lambda: print(welcome(scene, PEOPLE, title="The demonstration", hints=hints), flush=True),
        apps_required=True,
    )


def _api_child(scene: Scene, folder: Path, *, environ: Mapping[str, str]) -> ChildSpec:
    command = f"-m uvicorn api:app --host {HOST} --port {scene.api_port} --log-level warning"
    command += f" --root-path {scene.api_prefix}"  # so that its /docs work
    passed = {name: environ[name] for name in PASSED_TO_API if name in environ}
    return ChildSpec(
        name="api",
        program=tuple(command.split()),
        environment=minimal_environment(environ) | passed | api_variables(scene),
        folder=str(folder),
        ready=http_probe(f"http://{HOST}:{scene.api_port}/healthz"),
    )
