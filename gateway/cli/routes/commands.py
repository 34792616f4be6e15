"""`vestibule routes`: explain one decision, test a table of them, list the routes.

What needs the whole front door is imported where it runs: every command of `vestibule` imports this module.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bff.settings.public_urls import origins_by_host
from bff.settings.tables import LogSettings, Settings
from gateway.cli.loaded_settings import load_for_a_look, say_aside
from gateway.cli.options import AsJson, Config
from gateway.cli.routes.callers import NOBODY, Described, Who, read_who
from gateway.cli.routes.questions import Question, read_question
from gateway.faults import EXIT_FAULT, UsageFault
from gateway.logs import configure_logging

if TYPE_CHECKING:
    from gateway.cli.routes.explanation import Explanation

app = typer.Typer(no_args_is_help=True, help="Ask how routes decide, without a network.", rich_markup_mode=None)
Names = list[str] | None


@app.command("check")
def check(
    method: Annotated[str, typer.Argument(help="GET, POST …; for a WebSocket GET with a wss:// address.")],
    url: Annotated[str, typer.Argument(help="https://host/path, or /path at server.public_url.")],
    config: Config = None,
    claims: Annotated[
        Path | None, typer.Option("--as", help="JSON file with the claims of an ID token: who asks.")
    ] = None,
    sub: Annotated[str, typer.Option("--sub", help="Who asks: the provider's `sub`.")] = "",
    roles: Annotated[Names, typer.Option("--roles", help="Roles at the provider. Repeat it, or use commas.")] = None,
    groups: Annotated[Names, typer.Option("--groups", help="Groups. Repeat it, or use commas.")] = None,
    scopes: Annotated[Names, typer.Option("--scopes", help="Granted scopes. Repeat it, or use commas.")] = None,
    email: Annotated[str, typer.Option("--email", help="A verified address.")] = "",
    provider: Annotated[str, typer.Option("--provider", help="Which of [providers.*]; needed with several.")] = "",
    machine: Annotated[
        bool, typer.Option("--machine", help="A program with its own access token, in place of a person.")
    ] = False,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Nobody is signed in; this is the default.")] = False,
    origin: Annotated[
        str, typer.Option("--origin", help="Origin of the page whose script asks, if it is another one.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Explain what the front door does with one request, rule by rule. Exits with 0 if it is allowed, 1 if refused."""
    from gateway.cli.routes import policy_file, report

    settings = load_for_a_look(config)[0].settings
    described = Described(
        claims=policy_file.read_claims(claims, where="--as") if claims is not None else None,
        sub=sub,
        roles=_names(roles),
        groups=_names(groups),
        scopes=_names(scopes),
        email=email,
        provider=provider,
        is_machine=machine,
    )
    who = _who(described, settings, anonymous=anonymous)
    question = read_question(method, url, origins=origins_by_host(settings.server), who=who, origin=origin)
    found = asyncio.run(_explained(settings, question))
    typer.echo(json.dumps(report.as_json(found, settings), indent=2) if as_json else report.as_text(found, settings))
    if found.decided.outcome == "refused":
        raise typer.Exit(EXIT_FAULT)


@app.command("test")
def run_policy(
    policy: Annotated[Path, typer.Argument(help="TOML file with [people.*] and [[cases]].")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare the front door's decisions with a table of expected ones. Exits with 1 if one differs."""
    from gateway.cli.routes import policy_file, policy_run

    settings = load_for_a_look(config)[0].settings
    _quiet()
    compared = asyncio.run(policy_run.compare(settings, policy_file.read_policy(policy, settings)))
    typer.echo(json.dumps(policy_run.as_json(compared), indent=2) if as_json else policy_run.as_text(compared))
    if untested := policy_run.routes_without_a_case(settings, compared):
        say_aside(f"no case for: {', '.join(untested)}")
    if not all(one.is_as_expected for one in compared):
        raise typer.Exit(EXIT_FAULT)


@app.command("list")
def list_routes(config: Config = None, as_json: AsJson = False) -> None:
    """Print the routes in the order in which they are tried."""
    from gateway.cli.routes import listing

    settings = load_for_a_look(config)[0].settings
    typer.echo(json.dumps(listing.list_routes(settings), indent=2) if as_json else listing.as_table(settings))


async def _explained(settings: Settings, question: Question) -> Explanation:
    from gateway.cli.routes.explanation import explain
    from gateway.cli.routes.offline_door import OfflineDoor

    _quiet()
    door = OfflineDoor(settings)
    try:
        return await explain(door, question)
    finally:
        await door.aclose()


def _who(described: Described, settings: Settings, *, anonymous: bool) -> Who:
    if not anonymous:
        return read_who(described, settings, where="who asks")
    if not described.is_nobody:
        raise UsageFault("--anonymous, or who asks: not both")
    return NOBODY


def _names(given: Iterable[str] | None) -> list[str]:
    return [name.strip() for one in given or () for name in one.split(",") if name.strip()]


def _quiet() -> None:
    """Keep the log of the front door, which runs inside of this command, out of the report."""
    configure_logging(LogSettings(level="error", format="console"))
