"""`vestibule sessions`: ask the management listener of the running front door, with the configured admin token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from bff.settings.tables import Settings
from gateway.cli.doctor.claims import Shown, describe_arrival
from gateway.cli.doctor.running_door import arrived_from
from gateway.faults import CommandFault, UsageFault

SECONDS = 10


def list_sessions(settings: Settings, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the live sessions of `sub`, or of the provider session `sid`, newest first.

    Raises:
        UsageFault: neither is given, or no admin token is configured.
        CommandFault: the listener does not answer, or refuses.
    """
    _check(query)
    answer = _call(settings, "GET", "/admin/sessions", params=query)
    sessions: list[dict[str, Any]] = answer["sessions"]
    return sessions


def show_claims(settings: Settings, query: Mapping[str, str]) -> list[Shown]:
    """Return what the newest sign-in of a person brought, claim by claim, as `vestibule doctor --login` does.

    Raises:
        UsageFault, CommandFault: as `list_sessions`; also if there is no such session.
    """
    _check(query)
    found = _call(settings, "GET", "/admin/claims", params=query)["arrived"]
    provider = settings.providers.get(found["provider"]) if found else None
    if provider is None:
        raise CommandFault("no session of that person; sign in at the front door first")
    return describe_arrival(arrived_from(found), settings, provider)


def revoke_sessions(settings: Settings, query: Mapping[str, str]) -> str:
    """End sessions and return how many there were. Pending sign-ins of the same owner end too.

    Raises:
        UsageFault, CommandFault: as `list_sessions`.
    """
    if query.get("all") != "yes":
        _check(query)
    return str(_call(settings, "POST", "/admin/revoke", json=query)["ended"])


def _person(row: dict[str, Any]) -> str:
    """Name the person of a session. An unverified address is marked, since it may be somebody else's."""
    if not row["email"]:
        return str(row["sub"])
    return f"{row['email']}{'' if row['email_verified'] else ' (not verified)'}"


def as_lines(sessions: list[dict[str, Any]]) -> str:
    """Write one line per session: id, person, provider, device, start and end."""
    if not sessions:
        return "no session"
    rows = [
        (
            row["session"],
            _person(row),
            row["provider"],
            row["device"] or "-",
            _time(row["created_at"]),
            _time(row["expires_at"]),
        )
        for row in sessions
    ]
    head = ("session", "person", "provider", "device", "since", "until")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)


def _check(query: Mapping[str, str]) -> None:
    if not query.get("sub") and not query.get("sid"):
        raise UsageFault("say whose sessions: give --sub or --sid")


def _call(settings: Settings, method: str, path: str, **request: Any) -> dict[str, Any]:
    token = settings.secrets.admin_token.get_secret_value()
    if not token:
        raise UsageFault("secrets.admin_token is not set: the management listener takes no commands without it")
    url = f"http://{settings.server.management_bind}{path}"
    try:
        with httpx.Client(timeout=SECONDS, trust_env=False) as client:
            response = client.request(method, url, headers={"Authorization": f"Bearer {token}"}, **request)
    except httpx.HTTPError as exc:
        raise CommandFault(
            f"no answer from {settings.server.management_bind} ({type(exc).__name__}): is it running?"
        ) from None
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        raise CommandFault(f"refused: {answer.get('detail') or answer.get('code') or response.status_code}")
    return answer


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
