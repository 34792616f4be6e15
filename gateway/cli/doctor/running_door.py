"""A trial sign-in at the front door that is running: its management listener gives the link and says what arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from bff.contract import Identity
from bff.settings.tables import Settings
from gateway.cli.doctor.claims import Arrived
from gateway.cli.doctor.trial import CHECK_REGISTRATION, DENIED

SECONDS: Final = 10
LOOK_EVERY_SECONDS: Final = 0.5
NOBODY_CAME: Final = "nobody came back from the provider in time; does it show an error about the redirect URI?"


@dataclass(frozen=True, slots=True)
class AtRunningDoor:
    """How the sign-in went: what arrived, or a text that says what went wrong."""

    redirect_uri: str
    outcome: Arrived | str


async def sign_in_at_running_door(
    settings: Settings, provider: str, *, say: Callable[[str], None]
) -> AtRunningDoor | None:
    """Print a link of the running front door with `say`, and wait for that sign-in.

    Return None if no front door answers that takes our admin token and knows this request.
    """
    token = settings.secrets.admin_token.get_secret_value()
    if not token:
        return None
    base, headers = f"http://{settings.server.management_bind}", {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=SECONDS, trust_env=False) as http:
        try:
            begun = await http.post("/admin/trial", json={"provider": provider})
        except httpx.HTTPError:
            return None
        if begun.status_code != 200:
            return None
        trial: dict[str, Any] = begun.json()
        say("The front door is running. It makes this sign-in, with the settings that it was started with.")
        say(f"Redirect URI, to be registered at the provider: {trial['redirect_uri']}")
        say(f"Open this link and sign in, within {max(round(trial['seconds'] / 60), 1)} min; it is for this run alone:")
        say(f"  {trial['link']}")
        return AtRunningDoor(trial["redirect_uri"], await _outcome(http, trial))


async def _outcome(http: httpx.AsyncClient, trial: Mapping[str, Any]) -> Arrived | str:
    try:
        async with asyncio.timeout(trial["seconds"]):
            while True:
                answer = await http.get("/admin/trial", params={"ticket": trial["ticket"]})
                if answer.status_code != 200:
                    return NOBODY_CAME
                if ended := answer.json()["ended"]:
                    return _read(ended)
                await asyncio.sleep(LOOK_EVERY_SECONDS)
    except TimeoutError:
        return NOBODY_CAME
    except httpx.HTTPError as exc:
        return f"the front door stopped answering ({type(exc).__name__})"


def _read(ended: Mapping[str, Any]) -> Arrived | str:
    if "arrived" in ended:
        return arrived_from(ended["arrived"])
    if "denied" in ended:
        advice = DENIED.get(ended["denied"], CHECK_REGISTRATION)
        return f"the provider refused ({ended['denied'] or 'no reason given'}): {advice}"
    code, detail = ended["fault"], ended.get("detail", "")
    return f"{code}{f' ({detail})' if detail else ''}; see docs/errors.md#{code}"


def arrived_from(found: Mapping[str, Any]) -> Arrived:
    """Read what the management listener says of one sign-in."""
    identity = {**found["identity"], **{name: tuple(found["identity"][name]) for name in ("roles", "groups")}}
    return Arrived(
        identity=Identity(**identity),
        sources=found["sources"],
        access_token_typ=found["access_token_typ"],
        lifetime=found["lifetime"],
        scope=found["scope"],
        has_refresh_token=found["has_refresh_token"],
    )
