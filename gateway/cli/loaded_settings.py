"""The settings of a command, and what is noticed when its configuration is read: warnings, secrets, pages."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from bff.settings.loading import (
    ConfigurationError,
    Draft,
    Fault,
    load_draft,
    load_settings,
    secret_places,
    weak_secret_files,
)
from bff.settings.tables import Settings
from bff.settings.warnings import find_warnings
from gateway.cli.configuration_file import DEFAULT, find_configuration, usual_places
from gateway.faults import UsageFault
from gateway.headers.warnings import find_header_warnings
from gateway.processes.managed_apps import Described, describe_apps
from gateway.sandbox.reach import Secret


def load(
    config: Path | None, *, overrides: Mapping[str, Any] | None = None, says: bool = True
) -> tuple[Settings, Path]:
    """Load the settings and the folder that relative paths start from. Name the file on standard error."""
    file = _found(config)
    with _faults_said():
        settings = load_settings(file, environ=os.environ, overrides=overrides)
    if says:
        say_aside(f"configuration: {named(file)}")
    return settings, (file.parent if file else Path())


def load_for_a_look(config: Path | None) -> tuple[Draft, Path]:
    """Load the settings to show them: a person who has not registered yet has no credentials of the provider."""
    file = _found(config)
    with _faults_said():
        draft = load_draft(file, environ=os.environ)
    say_aside(f"configuration: {named(file)}")
    return draft, (file.parent if file else Path())


def _found(config: Path | None) -> Path | None:
    file = find_configuration(config, environ=os.environ)
    if file == DEFAULT and not file.exists():
        looked = ", ".join(str(place) for place in usual_places(os.environ))
        raise UsageFault(f"no configuration: looked for {looked}; run `vestibule init`, or name a file with --config")
    return file


@contextmanager
def _faults_said() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as exc:
        raise UsageFault(faults_text(exc.faults)) from None


def faults_text(faults: Iterable[Fault]) -> str:
    """Write faults for a person, one a line."""
    return "\n".join(map(str, faults))


def named(file: Path | None) -> str:
    return str(file.absolute()) if file else "environment variables alone"


def weak_secrets(config: Path | None) -> list[Fault]:
    file = find_configuration(config, environ=os.environ)
    return list(weak_secret_files(file, environ=os.environ)) if file else []


def warnings_of(config: Path | None, settings: Settings) -> list[Fault]:
    file = find_configuration(config, environ=os.environ)
    source = str(file or "settings")
    noticed = (find_warnings(settings, source=source), find_header_warnings(settings, source=source))
    return [*weak_secrets(config), *chain.from_iterable(noticed)]


def secrets_of(config: Path | None) -> list[Secret]:
    file = find_configuration(config, environ=os.environ)
    configuration = [Secret(file, "the configuration", may_be_read=True)] if file else []
    return [*(Secret(path, key) for key, path in secret_places(file, environ=os.environ)), *configuration]


def pages_of(config: Path | None, settings: Settings, *, folder: Path) -> list[Described]:
    return list(describe_apps(settings, folder=folder, secrets=secrets_of(config), environ=os.environ))


def print_result(document: Any, *, as_json: bool, text: str) -> None:
    """Print what the command found on standard output: `document` as JSON, or `text`."""
    typer.echo(json.dumps(document, indent=2) if as_json else text)


def say_aside(line: str) -> None:
    """Print to standard error, so that standard output holds only the report."""
    typer.echo(line, err=True)


def say_ready(public_url: str, *, is_log_for_people: bool) -> None:
    """Print the address for a person: beside the log if they read it, else wherever there is a terminal.

    Without a person and with a log for programs nothing is printed: the event `ready` of the log has the address.
    """
    line = f"\n  Vestibule is ready: {public_url}\n"
    if is_log_for_people or sys.stderr.isatty():
        typer.echo(line, err=True)
    if sys.stdout.isatty() and not sys.stderr.isatty():
        typer.echo(line)
