"""`vestibule dev`: run your Streamlit script and your API behind a mock sign-in, and reload them when you save."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bff.contract import CODE_API_NOT_RUNNING
from bff.settings.tables import Settings
from gateway.cli.development import (
    DEFAULT_API_PREFIX,
    DEFAULT_API_SECONDS,
    DEFAULT_HOST,
    DEFAULT_PORT,
    HOST,
    Scene,
    api_variables,
    build_settings,
    parse_people,
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
from gateway.processes.readiness import Probe, http_probe

ENV_NO_ROUTES = "VESTIBULE_KIT__NO_ROUTES"
WITHOUT_API = (
    "This page was started without --api, so there is no API to call. "
    "Start it with --api module:app, as in: vestibule dev app.py --api main:app"
)
STATE_SECONDS = 1.0
MOST_NOTICE = 65_536
APPLICATION = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_.]*")
API_PATIENCE_SECONDS = 6.0
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
OF_THE_PERSON = re.compile(r"HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|XDG_[A-Z]+_(HOME|DIR)")
"""Variables of a shell that name its owner's folders. A separated page has its own folders instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the page may reach beyond its own folder: `read`, `write` and `sandbox` of [routes.streamlit]."""

    read: Sequence[Path] = ()
    write: Sequence[Path] = ()
    sandbox: str = "auto"

    def validate(self) -> None:
        """Raises UsageFault: a path does not exist."""
        for option, paths in (("--read", self.read), ("--write", self.write)):
            for path in paths:
                if not os.path.exists(path):
                    raise UsageFault(f"{option} {path}: there is no such file or folder; make it, or correct the path")

    def settings(self) -> dict[str, object]:
        paths = {"read": self.read, "write": self.write}
        named = {key: [str(path.absolute()) for path in some] for key, some in paths.items() if some}
        return {"sandbox": self.sandbox, **named}

    def variables(self, of_shell: Mapping[str, str]) -> dict[str, str]:
        """Return the shell's variables that are true for the page too."""
        is_apart = self.sandbox != "none"
        return {name: value for name, value in of_shell.items() if not (is_apart and OF_THE_PERSON.fullmatch(name))}


def run_dev(
    script: Path,
    *,
    api: str = "",
    people: Sequence[str] = (),
    port: int = DEFAULT_PORT,
    host: str = DEFAULT_HOST,
    api_prefix: str = DEFAULT_API_PREFIX,
    api_seconds: float = DEFAULT_API_SECONDS,
    port_option: str = "--port",
    reach: Reach | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Start provider, API, app and front door, print their address, and run until a signal. Return the exit code.

    `api` is `module:application` as for Uvicorn, and is imported from the current folder.

    Raises:
        CommandFault: a given name does not exist or is malformed, or the port is taken.
    """
    reach = reach or Reach()
    validate_host(host)
    reach.validate()
    _validate(script, api, api_prefix)
    persons = parse_people(people)
    variables = _of_the_shell(environ)
    scene = Scene(
        port=port,
        host=host,
        provider_port=free_port(),
        app=script.absolute(),
        app_id="app",
        app_variables=reach.variables(variables | minimal_environment(environ)) | _advice(api),
        app_sandbox=reach.settings(),
        api_port=free_port() if api else 0,
        api_prefix=api_prefix,
        api_seconds=api_seconds,
    )
    settings = build_settings(scene)
    configure_logging(settings.log)
    plan = build_process_plan(settings, folder=Path.cwd(), environ=environ, fix=port_option)
    of_api = [_api_child(scene, api, script, variables=variables, environ=environ)] if api else []
    others = [provider_child(scene, persons, environ=environ), *of_api]
    hints = [*_hints(script, api, scene), *remote_hints(scene, environ=environ)]

    def say_ready() -> None:
        trouble = _trouble(scene, api, settings)
        print(welcome(scene, persons, title=script.name, hints=hints, trouble=trouble), flush=True)

    return run_processes(plan, others=others, on_ready=say_ready, allowed_by="--read PATH or --write PATH")


def _hints(script: Path, api: str, scene: Scene) -> list[str]:
    hints = [f"{script} is read again whenever you save it."]
    if api:
        hints.append(f"{api} is at {scene.api_prefix.rstrip('/')}/; JWTBearer.from_env() finds what it needs there.")
    return hints


def _advice(api: str) -> dict[str, str]:
    """Return what the page tells its author when it calls an API and there is none."""
    return {} if api else {ENV_NO_ROUTES: WITHOUT_API}


def _trouble(scene: Scene, api: str, settings: Settings) -> list[str]:
    """Return what is to be said of an API that does not work, or that refuses the front door's tokens."""
    if not api:
        return []
    return _silence(scene, api) or _refusal(api, settings)


def _silence(scene: Scene, api: str) -> list[str]:
    connection = http.client.HTTPConnection(HOST, scene.api_port, timeout=STATE_SECONDS)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        document = json.loads(answer.read(MOST_NOTICE)) if answer.status == 503 else None
    except (OSError, http.client.HTTPException):
        return [f"The API {api} has not answered yet. It may still be starting. If not, the lines above say why."]
    except ValueError:
        return []  # it answers, and that is enough
    finally:
        connection.close()
    if not isinstance(document, dict) or document.get("code") != CODE_API_NOT_RUNNING:
        return []
    return [f"{document.get('detail')}", "It is started again when you save."]


def _refusal(api: str, settings: Settings) -> list[str]:
    from gateway.cli.doctor.api_probe import probe_api  # it brings an HTTP client, which no start needs

    route = settings.route("api")
    found = probe_api(route, settings) if route is not None else None
    return [f"The API {api} was tried: {found.message}"] if found is not None and found.level != "ok" else []


def _validate(script: Path, api: str, api_prefix: str) -> None:
    if not script.is_file():
        raise UsageFault(f"no script {script}")
    if api and not APPLICATION.fullmatch(api):
        raise UsageFault(f"--api {api!r}: write module:application, as in main:app")
    if not PREFIX.fullmatch(api_prefix):
        raise UsageFault(f"--api-prefix {api_prefix!r}: write a path, as in /api")
    require_module("streamlit", "streamlit")
    if api:
        require_module("watchfiles", "watchfiles")


def _of_the_shell(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the developer's shell that the app may need, without the settings of a front door."""
    return {name: value for name, value in environ.items() if _is_for_the_app(name, value)}


def _is_for_the_app(name: str, value: str) -> bool:
    """True for a variable that the app gets: no setting of a front door, no demand for colours, and valid text."""
    is_foreign = name.upper().startswith("VESTIBULE_") or name in ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS")
    return not is_foreign and value.encode(errors="ignore").decode() == value


def _api_child(
    scene: Scene, api: str, script: Path, *, variables: Mapping[str, str], environ: Mapping[str, str]
) -> ChildSpec:
    """Build the child for the API, which restarts when its files change. It may be broken: its author sees why."""
    return ChildSpec(
        name="api",
        program=("-m", "gateway.cli.dev_api", api, HOST, str(scene.api_port), *page_files(script)),
        environment=dict(variables)
        | minimal_environment(environ)
        | api_variables(scene)
        | {"PYTHONSAFEPATH": "1", "UVICORN_ROOT_PATH": scene.api_prefix.rstrip("/")},  # so that its /docs work
        ready=_not_for_ever(http_probe(f"http://{HOST}:{scene.api_port}/", any_status=True)),
        required=False,
    )


def page_files(script: Path) -> tuple[str, ...]:
    """Return the script and its pages' folders, which end in a slash. A change there does not restart the API."""
    script = script.absolute()
    return str(script), *(f"{script.parent / name}{os.sep}" for name in ("pages", "views"))


def _not_for_ever(probe: Probe) -> Probe:
    """Return a probe that is also true after `API_PATIENCE_SECONDS`: a broken API reports itself, and the rest
    works."""
    end = time.monotonic() + API_PATIENCE_SECONDS

    async def answers() -> bool:
        return await probe() or time.monotonic() > end

    return answers
