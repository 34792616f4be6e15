"""`vestibule sessions`: find and end sessions of the running front door. This module has the options."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gateway.cli.loaded_settings import load, print_result
from gateway.cli.options import Config

app = typer.Typer(no_args_is_help=True, help="Find and end sessions of the running front door.")
Sub = Annotated[str, typer.Option("--sub", help="The person: the provider's `sub`.")]
Sid = Annotated[str, typer.Option("--sid", help="The provider's session id.")]
Issuer = Annotated[str, typer.Option("--iss", help="The issuer of one provider; else all.")]


@app.command("list")
def list_sessions(
    config: Config = None,
    sub: Sub = "",
    sid: Sid = "",
    iss: Issuer = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show a person's live sessions."""
    from gateway.cli import sessions as session_admin

    settings, _ = load(config)
    found = session_admin.list_sessions(settings, _given(sub=sub, sid=sid, iss=iss))
    print_result(found, as_json=as_json, text=session_admin.as_lines(found))


@app.command("claims")
def show_claims(
    config: Config = None,
    sub: Sub = "",
    sid: Sid = "",
    iss: Issuer = "",
    session: Annotated[str, typer.Option("--session", help="One session of the person, as `list` shows it.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show which claims the newest sign-in of a person brought, as `doctor --login` does. The door goes on."""
    from gateway.cli import sessions as session_admin

    settings, _ = load(config)
    lines = session_admin.show_claims(settings, _given(sub=sub, sid=sid, iss=iss, session=session))
    print_result([asdict(line) for line in lines], as_json=as_json, text="\n".join(map(str, lines)))


@app.command("revoke")
def revoke_sessions(
    config: Config = None,
    sub: Sub = "",
    sid: Sid = "",
    iss: Issuer = "",
    session: Annotated[str, typer.Option("--session", help="One session of the person, as `list` shows it.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's sessions.")] = False,
) -> None:
    """End one session, all sessions of a person or provider session, or everybody's. Pending sign-ins end too."""
    from gateway.cli import sessions as session_admin

    settings, _ = load(config)
    query = _given(sub=sub, sid=sid, iss=iss, session=session, all="yes" if everybody else "")
    typer.echo(f"ended: {session_admin.revoke_sessions(settings, query)}")


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
