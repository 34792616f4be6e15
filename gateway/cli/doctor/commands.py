"""`vestibule doctor`: its options. What it looks at is in the modules beside this one.

They are imported where they run: every command of `vestibule` imports this module, and they need the whole sign-in.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bff.settings.tables import LogSettings
from gateway.cli.doctor.through.wishes import QUIET_SECONDS, Wishes
from gateway.cli.loaded_settings import load, load_for_a_look, pages_of, say_aside, warnings_of
from gateway.cli.options import Config
from gateway.faults import EXIT_FAULT, EXIT_USAGE, UsageFault
from gateway.logs import configure_logging

if TYPE_CHECKING:
    from gateway.cli.doctor.checks import Report
    from gateway.cli.doctor.login import LoginReport


def run_doctor(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as faults.")] = False,
    login: Annotated[
        bool, typer.Option("--login", help="Sign in once for real, and show which claims arrive.")
    ] = False,
    provider: Annotated[str, typer.Option("--provider", help="With --login: which of [providers.*] to use.")] = "",
    loopback_port: Annotated[
        int | None, typer.Option("--loopback-port", min=1, max=65535, help="With --login: return to this port here.")
    ] = None,
    through: Annotated[
        str, typer.Option("--through", help="Look from outside, through the real proxy, at the running front door.")
    ] = "",
    quiet_seconds: Annotated[
        int, typer.Option("--quiet-seconds", min=0, max=120, help="With --through: how long an answer pauses; 0: not.")
    ] = QUIET_SECONDS,
    http_port: Annotated[
        int | None,
        typer.Option("--http-port", min=1, max=65535, help="With --through: the port of plain http, if not 80."),
    ] = None,
    ca_file: Annotated[
        str, typer.Option("--ca-file", help="With --through: the authority of the proxy's certificate.")
    ] = "",
) -> None:
    """Check provider, store and upstreams, and show what to register at the provider."""
    if through and login:
        raise UsageFault("--through or --login, not both")
    if through:
        from gateway.cli.doctor.through.examination import examine_through

        settings, _ = load(config)
        if quiet_seconds:
            say_aside(f"the look at the time-outs takes {quiet_seconds} seconds; --quiet-seconds 0 leaves it out")
        wishes = Wishes(quiet_seconds=quiet_seconds, http_port=http_port or 0, ca_file=ca_file)
        looked = asyncio.run(examine_through(settings, through, wishes, clock=time.time))
        _print_report(looked, as_json=as_json, strict=strict)
        return
    if login:
        from gateway.cli.doctor import login as doctor_login

        settings, _ = load(config)
        configure_logging(LogSettings(level="error", format="console"))
        tried = doctor_login.sign_in(settings, say=say_aside, provider=provider, loopback_port=loopback_port or 0)
        _print_report(asyncio.run(tried), as_json=as_json, strict=strict)
        return
    _print_examined(config, as_json=as_json, strict=strict)


def _print_examined(config: Path | None, *, as_json: bool, strict: bool) -> None:
    from gateway.cli.doctor import checks as doctor

    draft, folder = load_for_a_look(config)
    examined = doctor.examine(
        draft.settings,
        folder=folder,
        missing=draft.missing,
        warnings=warnings_of(config, draft.settings),
        pages=pages_of(config, draft.settings, folder=folder),
        environ=os.environ,
    )
    exit_code = EXIT_USAGE if draft.missing else EXIT_FAULT
    _print_report(asyncio.run(examined), as_json=as_json, strict=strict, exit_code=exit_code)


def _print_report(report: Report | LoginReport, *, as_json: bool, strict: bool, exit_code: int = EXIT_FAULT) -> None:
    """Print the report, and end with `exit_code` if it is not healthy."""
    typer.echo(json.dumps(report.as_json(strict=strict), indent=2) if as_json else report.as_text())
    if not report.is_healthy(strict=strict):
        raise typer.Exit(exit_code)
