"""Managed Streamlit apps: command line and environment as promised, and a real one behind a real worker."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.settings.loading import parse_settings
from bff.settings.public_urls import PublicUrls
from bff.settings.tables import Settings
from gateway.faults import CommandFault, UsageFault
from gateway.processes.child_output import ChildOutput
from gateway.processes.children import Child, ChildSpec
from gateway.processes.listeners import close_all, free_port
from gateway.processes.plan import build_process_plan
from gateway.processes.streamlit import build_arguments, build_child, find_app

SHELL = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/home/someone",
    "LC_ALL": "C.UTF-8",
    "DATABASE_PASSWORD": "canary-shell",
    "VESTIBULE_SECRETS__KEYS": "canary-keys",
}
ASK_STREAMLIT = """
import json, sys
from streamlit.web import cli, bootstrap
from streamlit import config
bootstrap.run = lambda script, is_hello, args, options: bootstrap.load_config_options(options)
cli.main(sys.argv[1:], standalone_mode=False)
print(json.dumps(config.get_option("server.trustedUserHeaders")))
"""
SCRIPT = """
import streamlit as st
st.write("hello")
"""


def settings_for(**changes: Any) -> Settings:
    """A front door with an app at `/`, an API, and `changes`: `server`, `limits`, `app` (keys of its route)."""
    app = {"id": "pages", "path": "/", "upstream": "streamlit:app.py", "kit": "pages", **changes.get("app", {})}
    api = {"id": "api", "path": "/api/", "upstream": "http://127.0.0.1:9", "kind": "api"}
    other = {"id": "other", "path": "/other/", "upstream": "http://127.0.0.1:9", "kind": "api"}
    server = {"public_url": "https://apps.example.com", "bind": "127.0.0.1:0", "management_bind": "127.0.0.1:0"}
    return parse_settings(
        {
            "server": server | changes.get("server", {}),
            "secrets": {"keys": [secrets.token_urlsafe(32)], "admin_token": secrets.token_urlsafe(32)},
            "providers": {
                "corp": {
                    "issuer": "https://idp.example.com",
                    "client_id": "x",
                    "client_secret": "canary-client-secret",
                }
            },
            "kit_clients": {"pages": {"secret": "canary-kit-secret-of-pages", "routes": ["api"]}},
            "routes": [app, api, other],
            "limits": changes.get("limits", {}),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # a page runs as another user where the front door may switch
    (tmp_path / "app.py").write_text(SCRIPT)
    return tmp_path


def arguments_of(settings: Settings, folder: Path, *, port: int = 8501) -> list[str]:
    route = settings.routes[0]
    urls = PublicUrls(settings.server.public_url)
    app = find_app(route, route.upstream[0], folder=folder, port=port, urls=urls, name="pages")
    return build_arguments(app, settings)


def environment_of(settings: Settings, folder: Path, *, environ: Mapping[str, str] = SHELL) -> Mapping[str, str]:
    route = settings.routes[0]
    urls = PublicUrls(settings.server.public_url)
    app = find_app(route, route.upstream[0], folder=folder, port=8501, urls=urls, name="pages")
    return build_child(app, settings, kit_url="http://127.0.0.1:8000", environ=environ).environment


def test_in_production_the_app_listens_on_loopback_and_shows_no_error_details(folder: Path) -> None:
    arguments = arguments_of(settings_for(), folder)
    assert arguments[:2] == ["run", str(folder / "app.py")]
    assert {
        "--server.address=127.0.0.1",
        "--server.port=8501",
        "--server.headless=true",
        "--server.enableCORS=true",
        "--server.enableXsrfProtection=true",
        "--server.fileWatcherType=none",
        "--server.runOnSave=false",
        "--browser.gatherUsageStats=false",
        "--client.showErrorDetails=none",
        "--client.toolbarMode=viewer",
        "--client.allowedOrigins=https://apps.example.com",
    } <= set(arguments)
    assert not [argument for argument in arguments if "baseUrlPath" in argument]


def test_an_app_of_an_additional_host_knows_its_own_address(folder: Path) -> None:
    settings = settings_for(server={"origins": ["https://b.example.com"]})
    route = settings.routes[0].model_copy(update={"host": "b.example.com", "kit": "pages"})
    settings = settings.model_copy(update={"routes": (route, *settings.routes[1:])})
    assert "--client.allowedOrigins=https://b.example.com" in arguments_of(settings, folder)
    assert environment_of(settings, folder)["VESTIBULE_KIT__PUBLIC_URL"] == "https://b.example.com"


def test_in_development_the_app_reloads_and_shows_error_details(folder: Path) -> None:
    server = {"public_url": "http://localhost:8000", "environment": "development"}
    arguments = arguments_of(settings_for(server=server), folder)
    assert {"--server.runOnSave=true", "--server.fileWatcherType=auto", "--client.showErrorDetails=full"} <= set(
        arguments
    )


@pytest.mark.parametrize(
    ("public_url", "app", "expected"),
    [
        ("https://apps.example.com", {"path": "/pages"}, "pages"),
        ("https://apps.example.com", {"path": "/team/pages/"}, "team/pages"),
        ("https://apps.example.com/portal", {}, "portal"),
        ("https://apps.example.com/portal", {"path": "/pages"}, "portal/pages"),
    ],
)
def test_an_app_below_a_path_gets_its_base_path(folder: Path, public_url: str, app: Any, expected: str) -> None:
    arguments = arguments_of(settings_for(server={"public_url": public_url}, app=app), folder)
    assert f"--server.baseUrlPath={expected}" in arguments


def test_an_app_with_a_removed_prefix_gets_the_root_path(folder: Path) -> None:
    arguments = arguments_of(settings_for(app={"path": "/pages", "strip_prefix": True}), folder)
    assert not [argument for argument in arguments if "baseUrlPath" in argument]


def test_configured_options_override_defaults_but_not_options_that_the_gateway_needs(folder: Path) -> None:
    given = ["--client.toolbarMode=developer", "--server.address=0.0.0.0", "--server.trustedUserHeaders={}"]
    given += ["--", "--seed", "7"]
    arguments = arguments_of(settings_for(app={"streamlit": {"args": given}}), folder)
    assert arguments[-3:] == ["--", "--seed", "7"]
    # The last of two equal options counts for Streamlit.
    assert [a for a in arguments if "toolbarMode" in a][-1] == "--client.toolbarMode=developer"
    assert [a for a in arguments if "server.address" in a][-1] == "--server.address=127.0.0.1"
    mapped = '--server.trustedUserHeaders={"X-Auth-Request-Id": "id"}'
    assert [a for a in arguments if "trustedUserHeaders" in a][-1] == mapped


def test_the_environment_of_an_app_has_only_the_minimum_and_the_variables_of_the_kit(folder: Path) -> None:
    environment = environment_of(settings_for(app={"streamlit": {"env": {"MODEL": "small"}}}), folder)
    own = {name: value for name, value in environment.items() if name not in ("PYTHONPATH", "PYTHONUNBUFFERED")}
    assert own == {
        "PATH": SHELL["PATH"],
        "HOME": SHELL["HOME"],
        "LC_ALL": SHELL["LC_ALL"],
        "MODEL": "small",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "STREAMLIT_LOGGER_ENABLE_RICH": "false",
        "STREAMLIT_SERVER_TRUSTED_USER_HEADERS": '{"X-Auth-Request-Id": "id"}',
        "WEBSOCKETS_MAX_LINE_LENGTH": "33024",
        "WEBSOCKETS_MAX_NUM_HEADERS": "164",
        "VESTIBULE_KIT__URL": "http://127.0.0.1:8000",
        "VESTIBULE_KIT__PUBLIC_URL": "https://apps.example.com",
        "VESTIBULE_KIT__CLIENT": "pages",
        "VESTIBULE_KIT__SECRET": "canary-kit-secret-of-pages",
        "VESTIBULE_KIT__ROUTES": '{"api": "/api/"}',
        "VESTIBULE_KIT__AUTH_PATH": "/auth",
    }


@pytest.mark.parametrize(
    ("body", "message", "expected"),
    [
        (None, None, []),
        (500 * 2**20 + 65_536, 2**30, ["--server.maxUploadSize=500", "--server.maxMessageSize=1024"]),
        (1_000, 1_024, ["--server.maxUploadSize=1", "--server.maxMessageSize=1"]),
    ],
    ids=["not changed, so the app's own count", "raised", "less than Streamlit can say"],
)
def test_the_app_gets_the_changed_limits_for_uploads_and_messages(
    folder: Path, body: int | None, message: int | None, expected: list[str]
) -> None:
    limits = {"websocket_upstream_message_bytes": message} if message else {}
    app = {"max_body_bytes": body} if body else {}
    arguments = arguments_of(settings_for(limits=limits, app=app), folder)
    assert [argument for argument in arguments if argument.startswith("--server.max")] == expected


def test_the_app_reads_handshakes_as_long_as_the_front_door_accepts(folder: Path) -> None:
    raised = environment_of(settings_for(limits={"header_bytes": 100_000, "header_count": 500}), folder)
    assert int(raised["WEBSOCKETS_MAX_LINE_LENGTH"]) > 100_000
    assert int(raised["WEBSOCKETS_MAX_NUM_HEADERS"]) > 500
    with_token = environment_of(settings_for(app={"token": "access_token"}), folder)
    assert int(with_token["WEBSOCKETS_MAX_LINE_LENGTH"]) > 65_536
    own = {"streamlit": {"env": {"WEBSOCKETS_MAX_LINE_LENGTH": "200000"}}}
    assert environment_of(settings_for(app=own), folder)["WEBSOCKETS_MAX_LINE_LENGTH"] == "200000"


def test_an_app_without_a_kit_client_gets_no_kit_credential(folder: Path) -> None:
    environment = environment_of(settings_for(app={"kit": ""}), folder)
    assert not [name for name in environment if name.startswith("VESTIBULE_")]


def test_an_app_with_its_own_python_does_not_see_our_packages(folder: Path) -> None:
    environment = environment_of(settings_for(app={"streamlit": {"python": "/usr/bin/env"}}), folder)
    assert "PYTHONPATH" not in environment


@pytest.mark.parametrize(
    ("app", "named"),
    [
        ({"upstream": "streamlit:missing.py"}, "routes.pages.upstream: no script"),
        ({"streamlit": {"cwd": "nowhere"}}, "routes.pages.streamlit.cwd: no folder"),
        ({"streamlit": {"python": "/no/such/python"}}, "routes.pages.streamlit.python: no program"),
    ],
)
def test_missing_files_are_named_before_any_process_starts(folder: Path, app: Any, named: str) -> None:
    with pytest.raises(UsageFault, match=named):
        build_process_plan(settings_for(app=app), folder=folder, environ=SHELL)


def test_workers_know_the_address_of_the_app_and_accept_its_kit_client(folder: Path) -> None:
    settings = settings_for(app={"streamlit": {"env": {"TOKEN": "canary-of-the-app"}}})
    plan = build_process_plan(settings, folder=folder, environ=SHELL)
    try:
        [pages, api, _] = plan.settings.routes
        assert pages.upstream[0].startswith("http://127.0.0.1:")
        assert (pages.kind, pages.kit, pages.forward_cookies) == ("page", "pages", ("_streamlit_*",))
        assert pages.streamlit.cwd == str(folder), "the mark by which a worker knows Streamlit"
        assert api == settings.routes[1]
        [app] = plan.apps
        host = app.environment["VESTIBULE_KIT__URL"].removeprefix("http://")
        assert host in plan.settings.server.internal_hosts
        assert host == plan.settings.server.bind
        [worker] = plan.workers
        assert b"canary-client-secret" in worker.handed
        assert b"canary-of-the-app" not in worker.handed
        assert "canary" not in json.dumps(dict(worker.environment) | {"DATABASE_PASSWORD": ""})
        assert "canary" not in repr(worker)
    finally:
        close_all(list(plan.listeners))


def test_a_listener_on_all_addresses_is_reached_through_loopback_on_this_machine(folder: Path) -> None:
    plan = build_process_plan(settings_for(server={"bind": "0.0.0.0:0"}), folder=folder, environ=SHELL)
    close_all(list(plan.listeners))
    assert plan.internal_url.startswith("http://127.0.0.1:")


def test_the_address_for_the_kit_contains_the_path_of_the_public_url(folder: Path) -> None:
    server = {"public_url": "https://apps.example.com/portal"}
    plan = build_process_plan(settings_for(server=server), folder=folder, environ=SHELL)
    close_all(list(plan.listeners))
    assert plan.apps[0].environment["VESTIBULE_KIT__URL"].endswith("/portal")
    assert not any("/" in host for host in plan.settings.server.internal_hosts)


def test_with_tls_the_kit_uses_a_separate_plain_listener_on_loopback(folder: Path) -> None:
    server = {"tls": {"certificate_file": "c.pem", "key_file": "k.pem"}}
    plan = build_process_plan(settings_for(server=server), folder=folder, environ=SHELL)
    try:
        assert len(plan.listeners) == 3
        assert plan.internal_url.startswith("http://127.0.0.1:")
        assert plan.internal_url.removeprefix("http://") != plan.settings.server.bind
        assert any(argument.startswith("--internal=") for argument in plan.workers[0].program)
    finally:
        close_all(list(plan.listeners))


def test_when_one_listener_cannot_be_opened_all_are_closed(folder: Path) -> None:
    port = free_port()
    server = {"bind": f"127.0.0.1:{port}", "management_bind": f"127.0.0.1:{port}"}
    with pytest.raises(CommandFault, match=r"server\.management_bind"):
        build_process_plan(settings_for(server=server), folder=folder, environ=SHELL)
    close_all(list(build_process_plan(settings_for(server={"bind": f"127.0.0.1:{port}"}), folder=folder).listeners))


@pytest.fixture
async def real_app(folder: Path) -> AsyncIterator[tuple[Child, str]]:
    """A real Streamlit, kept running by a `Child`; and its origin."""
    settings, port = settings_for(), free_port()
    spec = spec_of(settings, folder, port=port)
    assert spec.ready is not None
    reading, writing = os.pipe()
    child = Child(spec, tether=reading, output=silent_output())
    running = asyncio.create_task(child.keep_running())
    deadline = time.monotonic() + 30
    while not await spec.ready():
        assert time.monotonic() < deadline, list(child.output.last)
        await asyncio.sleep(0.1)
    yield child, f"http://127.0.0.1:{port}"
    await child.stop(grace_seconds=5)
    await running
    os.close(reading)
    os.close(writing)


def spec_of(settings: Settings, folder: Path, *, port: int) -> ChildSpec:
    route, urls = settings.routes[0], PublicUrls(settings.server.public_url)
    app = find_app(route, route.upstream[0], folder=folder, port=port, urls=urls, name="pages")
    return build_child(app, settings, kit_url="http://127.0.0.1:9", environ=SHELL)


def silent_output() -> ChildOutput:
    return ChildOutput("pages", voice="quiet", json_lines=True, prefix=True)


async def test_a_real_streamlit_accepts_these_options(real_app: tuple[Child, str]) -> None:
    child, origin = real_app
    async with httpx.AsyncClient() as http:
        config = (await http.get(f"{origin}/_stcore/host-config")).json()
        page = await http.get(origin)
        foreign = await http.get(f"{origin}/_stcore/health", headers={"Origin": "https://evil.example"})
    assert config["allowedOrigins"] == ["https://apps.example.com"]
    assert "<title>Streamlit</title>" in page.text
    assert foreign.headers.get("access-control-allow-origin") != "*"
    assert list(child.output.last) == [], "it said something although nothing happened"


async def test_a_real_streamlit_reads_its_user_from_the_stable_header(folder: Path) -> None:
    """Asked of Streamlit's own configuration in the environment that the child gets, and with its arguments."""
    args = ["--server.trustedUserHeaders={}"]
    spec = spec_of(settings_for(app={"streamlit": {"args": args}}), folder, port=free_port())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ASK_STREAMLIT, *spec.program[2:]),
        env=dict(spec.environment),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert json.loads(said.splitlines()[-1]) == {"X-Auth-Request-Id": "id"}


async def test_a_child_that_cannot_be_started_is_logged_with_the_reason_and_the_others_go_on(folder: Path) -> None:
    spec = dataclasses.replace(spec_of(settings_for(), folder, port=1), folder=str(folder / "gone"))
    ended: list[int] = []

    def note(_child: Child, code: int) -> bool:
        ended.append(code)
        return False

    child = Child(spec, tether=0, output=silent_output(), on_end=note)
    await child.keep_running()
    assert ended == [127]
    assert "cannot be started: No such file or directory" in child.output.last[0]
