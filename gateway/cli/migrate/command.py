"""`vestibule migrate oauth2-proxy`: write a configuration from oauth2-proxy's, and say what became of each option."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.faults import EXIT_FAULT, UsageFault

app = typer.Typer(
    help="Come from another sign-in proxy.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.callback()
def _root() -> None:
    """Keep `oauth2-proxy` a command of its own, although it is the only one."""


@app.command("oauth2-proxy")
def migrate_oauth2_proxy(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="Its configuration: a .cfg or .toml, an alpha .yaml, a command line, a systemd unit, a compose file "
            "or manifest, or a file of OAUTH2_PROXY_ variables. Name all parts.",
        ),
    ] = None,
    env: Annotated[bool, typer.Option("--env", help="Read OAUTH2_PROXY_ variables of this process too.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write into; ./vestibule by default.")] = None,
    public_url: Annotated[
        str, typer.Option("--public-url", help="What people type into the browser, if redirect_url does not say it.")
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None, typer.Option("--trusted-proxy", help="Address or network of the proxy in front; repeat it.")
    ] = None,
) -> None:
    """Write vestibule.toml from a configuration of oauth2-proxy, and list what became of every option."""
    # Imported here: every command of `vestibule` imports this module, and only this one needs the tables of options.
    from gateway.cli.migrate.sources import read_sources
    from gateway.cli.migrate.translation import translate
    from gateway.cli.migrate.writing import default_folder, write_configuration

    if not files and not env:
        raise UsageFault("name the configuration of oauth2-proxy, or use --env for variables OAUTH2_PROXY_…")
    reading = read_sources(files or (), environ=os.environ, with_environ=env)
    if not reading.given:
        raise UsageFault("no option of oauth2-proxy was found")
    translation = translate(
        reading,
        folder=files[0].parent if files else Path(),
        public_url=public_url,
        trusted_proxies=tuple(trusted_proxy or ()),
    )
    migrated = write_configuration(translation, folder=out or default_folder())
    typer.echo(f"Wrote {migrated.file} and the folder secrets beside it.\n")
    typer.echo(migrated.report, nl=False)
    if not translation.is_complete:
        raise typer.Exit(EXIT_FAULT)
