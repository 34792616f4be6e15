"""A Streamlit app as a child of this gateway: its command line, its environment, and the probe for its answer.

Streamlit has no protection of its own, and page code can read the whole environment. So the child listens only on
loopback, keeps Streamlit's origin and XSRF checks, and gets no secret except that of its kit client.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bff import contract
from bff.settings.public_urls import PublicUrls, urls_of_route
from bff.settings.tables import PAGE_BODY_BYTES, RouteSettings, Settings
from gateway.faults import UsageFault
from gateway.processes.children import ChildSpec, minimal_environment
from gateway.processes.readiness import http_probe
from gateway.sandbox.separation import Page, Separation
from gateway.upstream.handshake_lines import child_limits

SCHEME = "streamlit:"
ADDRESS = "127.0.0.1"
ENV_KIT_PUBLIC_URL = "VESTIBULE_KIT__PUBLIC_URL"
ENV_KIT_ROUTES = "VESTIBULE_KIT__ROUTES"
ENV_KIT_AUTH_PATH = "VESTIBULE_KIT__AUTH_PATH"
MIB = 1_048_576
FORM_BYTES = 65_536
"""Room for the form around an uploaded file."""
TRUSTED_USER_HEADERS = {contract.HEADER_SUBJECT_KEY: "id"}
"""Headers that Streamlit compares when a page reconnects. They must stay the same for a person, or pages lose state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedApp:
    """A `streamlit:` upstream with its script and folder as absolute paths, and its port on 127.0.0.1."""

    name: str
    route: RouteSettings
    script: Path
    folder: Path
    port: int
    base_path: str
    """The base path of the app: "" or with a leading slash."""

    @property
    def origin(self) -> str:
        return f"http://{ADDRESS}:{self.port}"


def find_app(route: RouteSettings, target: str, *, folder: Path, port: int, urls: PublicUrls, name: str) -> ManagedApp:
    """Find the app of `target`. Its script is relative to `streamlit.cwd`, and that folder is relative to `folder`.

    If a route has no `streamlit.cwd`, a script in another folder runs there: the folder of the configuration may hold
    secrets.

    Raises:
        UsageFault: no such folder, script or Python.
    """
    key = f"routes.{route.id}"
    working = (folder / route.streamlit.cwd).absolute()
    script = working / target.removeprefix(SCHEME)
    if not working.is_dir():
        raise UsageFault(f"{key}.streamlit.cwd: no folder {working}; correct it")
    if not script.is_file():
        raise UsageFault(f"{key}.upstream: no script {script}; correct the path after {SCHEME}")
    if route.streamlit.python and shutil.which(route.streamlit.python) is None:
        raise UsageFault(f"{key}.streamlit.python: no program {route.streamlit.python}; name a Python with streamlit")
    if not route.streamlit.cwd and not script.is_relative_to(working):
        working = script.parent
    base_path = urls.base_path + ("" if route.strip_prefix else route.path.rstrip("/"))
    return ManagedApp(name=name, route=route, script=script, folder=working, port=port, base_path=base_path)


def page_of(app: ManagedApp, *, environ: Mapping[str, str]) -> Page:
    """Return the facts that decide how `app` is separated."""
    child = app.route.streamlit
    return Page(
        key=f"routes.{app.route.id}",
        name=app.name,
        settings=child,
        python=_python(child.python),
        has_own_python=not child.python,
        script=app.script,
        folder=app.folder,
        environment=minimal_environment(environ, own_python=not child.python) | dict(child.env),
    )


def _python(wish: str) -> str:
    return shutil.which(wish) or sys.executable


def build_child(
    app: ManagedApp,
    settings: Settings,
    *,
    kit_url: str,
    environ: Mapping[str, str],
    separation: Separation | None = None,
) -> ChildSpec:
    """Build the child that serves `app` under `separation`. Its kit calls the front door at `kit_url`."""
    route, own_python = app.route, not app.route.streamlit.python
    private = separation.environment if separation else {}
    return ChildSpec(
        name=app.name,
        program=("-m", "streamlit", *build_arguments(app, settings)),
        environment=build_environment(
            route, settings, kit_url=kit_url, environ=environ, own_python=own_python, private=private
        ),
        folder=str(app.folder),
        python=_python(route.streamlit.python),
        ready=http_probe(f"{app.origin}{app.base_path}/_stcore/health"),
        required=False,
        plan=separation.plan if separation else None,
    )


def build_arguments(app: ManagedApp, settings: Settings) -> list[str]:
    """Build the arguments of `streamlit run`. `streamlit.args` can change preferences, but not what the gateway
    needs."""
    own, separator, script_arguments = _split(app.route.streamlit.args)
    development = settings.is_development
    preferences = {
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "full" if development else "none",
        "client.toolbarMode": "minimal" if development else "viewer",
        "logger.hideWelcomeMessage": "true",
        "logger.level": "warning",
        "server.fileWatcherType": "auto" if development else "none",
        "server.runOnSave": "true" if development else "false",
        # The command line cannot give an empty list. The default list has a hosting service, whose pages could then
        # control this app from a frame around it. Our own origin is safe here: its pages can do that anyway.
        "client.allowedOrigins": urls_of_route(settings.server, app.route.host).origin,
    }
    preferences |= _sizes(app.route, settings)
    relied_on = {
        "server.address": ADDRESS,
        "server.port": str(app.port),
        "server.baseUrlPath": app.base_path.strip("/"),
        "server.headless": "true",
        "server.enableCORS": "true",
        "server.enableXsrfProtection": "true",
        "server.trustedUserHeaders": json.dumps(TRUSTED_USER_HEADERS),
    }
    return ["run", str(app.script), *_flags(preferences), *own, *_flags(relied_on), *separator, *script_arguments]


def _sizes(route: RouteSettings, settings: Settings) -> dict[str, str]:
    """Streamlit's own limits, for those of ours that were changed: one that is not raised would refuse what we let in.

    By default both sides agree, and an app may have a lower limit in its `config.toml`.
    """
    upload, message = route.max_body_bytes, settings.limits.websocket_upstream_message_bytes
    sizes = {}
    if upload != PAGE_BODY_BYTES:
        sizes["server.maxUploadSize"] = str(max((upload - FORM_BYTES) // MIB, 1))
    if message != type(settings.limits)().websocket_upstream_message_bytes:
        sizes["server.maxMessageSize"] = str(max(message // MIB, 1))
    return sizes


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Split into options for Streamlit, the `--` if any, and arguments for the script."""
    if "--" not in arguments:
        return list(arguments), [], []
    at = list(arguments).index("--")
    return list(arguments[:at]), ["--"], list(arguments[at + 1 :])


def _flags(options: Mapping[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items() if value]


def build_environment(
    route: RouteSettings,
    settings: Settings,
    *,
    kit_url: str,
    environ: Mapping[str, str],
    own_python: bool,
    private: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Build the child's variables: the minimum, its home, the route's own, and the kit client's. No other secret."""
    limits = child_limits(settings.limits, route)
    minimum = minimal_environment(environ, own_python=own_python)
    child = minimum | limits | dict(private or {}) | dict(route.streamlit.env)
    child["STREAMLIT_SERVER_TRUSTED_USER_HEADERS"] = json.dumps(TRUSTED_USER_HEADERS)
    client = settings.kit_clients.get(route.kit)
    if client is None:
        return child
    paths = {found.id: found.path for route_id in client.routes if (found := settings.route(route_id)) is not None}
    return child | {
        contract.ENV_KIT_URL: kit_url,
        contract.ENV_KIT_CLIENT: route.kit,
        contract.ENV_KIT_SECRET: client.secret.get_secret_value(),
        ENV_KIT_PUBLIC_URL: urls_of_route(settings.server, route.host).base,
        ENV_KIT_ROUTES: json.dumps(paths),
        ENV_KIT_AUTH_PATH: settings.server.auth_path,
    }


def host_of(url: str) -> str:
    """Return the `host:port` of `url` as in a Host header."""
    return urlsplit(url).netloc
