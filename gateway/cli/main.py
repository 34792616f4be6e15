"""The command `vestibule`. This module has the options; each command has its own module for the work.

Exit codes: 0 success, 1 a fault at run time, 2 a fault in the configuration or the command line.
`doctor` is imported where it runs: the front door starts sooner without its many modules.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from bff.settings.tables import Settings
from gateway.cli import demo, dev, initialise, key_files
from gateway.cli.configuration_file import find_configuration, folder_for_new, with_port
from gateway.cli.development import DEFAULT_API_SECONDS, DEFAULT_HOST
from gateway.cli.doctor.commands import run_doctor
from gateway.cli.loaded_settings import (
    faults_text,
    load,
    load_for_a_look,
    named,
    pages_of,
    print_result,
    say_aside,
    say_ready,
    secrets_of,
    warnings_of,
)
from gateway.cli.migrate import command as migrate
from gateway.cli.options import Config
from gateway.cli.proxy_config.command import proxy_config
from gateway.cli.routes import commands as routes
from gateway.cli.session_commands import app as sessions_app
from gateway.faults import CommandFault, UsageFault
from gateway.logs import configure_logging, for_a_terminal
from gateway.processes.plan import build_process_plan, run_processes
from gateway.processes.settings_text import to_masked, to_toml
from gateway.sandbox.privileges import refuse_inspection


def _subcommands(help_text: str) -> typer.Typer:
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


app = typer.Typer(
    help="Sign-in with OpenID Connect in front of Streamlit apps and APIs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
keys_app = _subcommands("Make and change server keys.")
config_app = _subcommands("Check and show the configuration.")
app.add_typer(keys_app, name="keys")
app.add_typer(config_app, name="config")
app.add_typer(sessions_app, name="sessions")
app.add_typer(routes.app, name="routes")
app.add_typer(migrate.app, name="migrate")
app.command("doctor")(run_doctor)
app.command("proxy-config")(proxy_config)

Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of this machine to listen on.")]

Host = Annotated[
    str, typer.Option("--host", help="Where to listen: localhost, or 0.0.0.0 for all addresses, as in a container.")
]

PortOption = Annotated[
    str, typer.Option("--port-option", hidden=True, help="What the person types to choose a port, as PORT= of make.")
]


def _print_version(*, wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(importlib.metadata.version("vestibule"))
        except importlib.metadata.PackageNotFoundError:
            typer.echo("not installed: running from its source")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@app.command("run")
def run(
    config: Config = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="Port instead of the one in server.bind.")
    ] = None,
) -> None:
    """Start the front door, its workers and its managed apps."""
    settings, folder = load(config, says=False)
    if port is not None:
        settings, _ = load(config, overrides=with_port(settings, port), says=False)
    settings = for_a_terminal(settings, is_terminal=sys.stderr.isatty())
    configure_logging(settings.log)
    for warning in warnings_of(config, settings):
        structlog.get_logger("vestibule.supervisor").warning(
            "configuration", key=warning.key, reason=f"{warning.message}; {warning.fix}"
        )
    plan = build_process_plan(settings, folder=folder, secrets=secrets_of(config))
    raise typer.Exit(run_processes(plan, on_ready=lambda: _say_ready(settings, config)))


def _say_ready(settings: Settings, config: Path | None) -> None:
    server = settings.server
    say_ready(server.public_url, is_log_for_people=settings.log.format == "console")
    structlog.get_logger("vestibule.supervisor").info(
        "ready",
        public_url=server.public_url,
        bind=server.bind,
        management=server.management_bind,
        configuration=named(find_configuration(config, environ=os.environ)),
    )


@app.command("demo")
def run_demo(
    port: Port = 8000,
    host: Host = DEFAULT_HOST,
    folder: Annotated[Path, typer.Option("--folder", help="Folder with app.py and api.py.")] = demo.FOLDER,
    port_option: PortOption = "--port",
) -> None:
    """Start everything on this machine: a mock provider, an API, an app, and the front door."""
    raise typer.Exit(demo.run_demo(port=port, host=host, folder=folder, port_option=port_option))


@app.command("dev")
def run_dev(
    script: Annotated[Path, typer.Argument(help="Your Streamlit script.")],
    api: Annotated[str, typer.Option("--api", help="Your API as module:application.")] = "",
    people: Annotated[
        list[str] | None, typer.Option("--as", help="Who can sign in: name:role+role. Repeat it, or use commas.")
    ] = None,
    port: Port = 8000,
    host: Host = DEFAULT_HOST,
    api_prefix: Annotated[str, typer.Option("--api-prefix", help="Path of the API.")] = "/api",
    api_timeout: Annotated[
        float, typer.Option("--api-timeout", min=0.1, help="Seconds that an answer of the API may take to begin.")
    ] = DEFAULT_API_SECONDS,
    read: Annotated[
        list[Path] | None, typer.Option("--read", help="A file or folder the script may read, besides its own folder.")
    ] = None,
    write: Annotated[
        list[Path] | None, typer.Option("--write", help="A file or folder that the script may change.")
    ] = None,
    sandbox: Annotated[
        str, typer.Option("--sandbox", help="none: the script may reach everything that you may.")
    ] = "auto",
    port_option: PortOption = "--port",
) -> None:
    """Run your own app and API behind a mock sign-in, and reload them when you save."""
    raise typer.Exit(
        dev.run_dev(
            script,
            api=api,
            people=people or (),
            port=port,
            host=host,
            api_prefix=api_prefix,
            api_seconds=api_timeout,
            port_option=port_option,
            reach=dev.Reach(read=read or (), write=write or (), sandbox=sandbox),
        )
    )


@app.command("init")
def init(
    issuer: Annotated[
        str, typer.Option("--issuer", help="The provider's issuer, exactly as in its discovery document.")
    ],
    client_id: Annotated[str, typer.Option("--client-id", help="Our name at the provider.")],
    client_secret_file: Annotated[
        str,
        typer.Option("--client-secret-file", help="File with the provider's client secret; - reads standard input."),
    ] = "",
    provider: Annotated[
        str, typer.Option("--provider", help="Name for the provider. Default: what the issuer's address says.")
    ] = "",
    streamlit: Annotated[str, typer.Option("--streamlit", help="Streamlit script.")] = "",
    api: Annotated[str, typer.Option("--api", help="Address of the API, as in http://127.0.0.1:9000.")] = "",
    public_url: Annotated[
        str, typer.Option("--public-url", help="What people type into the browser.")
    ] = initialise.DEFAULT_PUBLIC_URL,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="Where to write. Default: /etc/vestibule for root, ~/.config/vestibule for others."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files, also secrets.")] = False,
) -> None:
    """Write vestibule.toml and its secrets, which only you can read, outside of the folder of the pages."""
    wishes = initialise.Wishes(
        issuer=issuer,
        client_id=client_id,
        client_secret=_read_secret(client_secret_file),
        streamlit=streamlit,
        api=api,
        public_url=public_url,
        provider=provider,
    )
    written = initialise.initialise(wishes, folder=folder or folder_for_new(os.environ), force=force)
    typer.echo(f"Wrote {written.file} and {written.file.parent / initialise.SECRETS}{os.sep}. Next:")
    for step in written.next_steps:
        typer.echo(f"  {step}")


def _read_secret(file: str) -> str:
    if not file:
        return ""
    try:
        text = sys.stdin.read() if file == key_files.STANDARD_OUTPUT else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageFault(f"--client-secret-file: {file} cannot be read: {type(exc).__name__}") from None
    if not text.strip():
        raise UsageFault(f"--client-secret-file: {file} is empty")
    return text.strip()


@keys_app.command("new")
def keys_new(file: Annotated[str, typer.Argument(help="File to write; with - the key is printed instead.")]) -> None:
    """Write a new key file that only you can read."""
    if file == key_files.STANDARD_OUTPUT:
        typer.echo(key_files.new_key())
    else:
        key_files.write_secret(Path(file), key_files.new_key())


@keys_app.command("rotate")
def keys_rotate(file: Annotated[Path, typer.Argument(help="The file that secrets.keys_file names.")]) -> None:
    """Add a new key and keep the newest three. It takes effect at the next start."""
    count = key_files.rotate_keys(file)
    typer.echo(f"{file} has {count} keys now, the newest first. Keys are read at the start: a running front door")
    typer.echo("uses the old ones until you restart it. If it is a service: systemctl restart vestibule. This also")
    typer.echo(
        "loads its credentials again. With several replicas, give all of them this file first (docs/key-rotation.md)."
    )


@config_app.command("check")
def config_check(config: Config = None) -> None:
    """Report all faults of the configuration at once, and warn of risks."""
    settings, folder = load(config)
    for warning in warnings_of(config, settings):
        typer.echo(f"warning: {warning}", err=True)
    pages = pages_of(config, settings, folder=folder)
    if faults := [page.fault for page in pages if page.fault]:
        raise UsageFault("\n".join(faults))
    for page in pages:
        say_aside(f"page {page.name}: {page.says}")
        if page.warning:
            typer.echo(f"warning: page {page.name}: {page.warning}", err=True)
    typer.echo("ok")


@config_app.command("show")
def config_show(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of TOML.")] = False,
) -> None:
    """Print the values in effect. Secrets are masked. Without a client secret: also what to register to get one."""
    draft, _ = load_for_a_look(config)
    masked = to_masked(draft.settings)
    print_result(masked, as_json=as_json, text=to_toml(masked).rstrip("\n"))
    if draft.missing:
        from gateway.cli.doctor import checks as doctor

        say_aside("\n".join(doctor.registration_lines(doctor.registrations(draft.settings))))
        raise UsageFault(faults_text(draft.missing))


def main() -> None:
    """Run the command. Known faults end here, with a message on standard error and an exit code."""
    refuse_inspection()  # before configuration and secrets are read
    try:
        app(prog_name="vestibule")
    except CommandFault as fault:
        typer.echo(fault.message, err=True)
        sys.exit(fault.exit_code)


if __name__ == "__main__":
    main()
