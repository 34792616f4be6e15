"""`vestibule doctor --login`: sign in once for real, and show what arrived.

A temporary listener with its own store takes the place of the front door. Running sessions are not touched, and no
token is shown.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp

from bff.assembly import assemble
from bff.errors import AuthError
from bff.oidc.urls import is_loopback
from bff.provider.client import http_client_for
from bff.settings.tables import OutgoingSettings, ProviderSettings, Settings, Tls
from bff.stores.memory import MemoryStore
from gateway.cli.doctor.claims import Arrived, Shown, describe_arrival
from gateway.cli.doctor.running_door import NOBODY_CAME, sign_in_at_running_door
from gateway.cli.doctor.trial import Catcher, TrialObserver, explain
from gateway.faults import CommandFault, UsageFault
from gateway.processes.listeners import bind_listeners, close_all
from gateway.serving.server import build_server, wait_until_started

FAREWELL_SECONDS = 3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginReport:
    """How one sign-in went. `fault` is "" if it worked."""

    provider: str
    issuer: str
    client_id: str
    redirect_uri: str
    lines: tuple[Shown, ...] = ()
    fault: str = ""

    def is_healthy(self, *, strict: bool = False) -> bool:
        """True if the sign-in worked. With `strict`, everything that the configuration uses must have arrived too."""
        return not self.fault and not (strict and any(line.level == "warning" for line in self.lines))

    def as_text(self) -> str:
        outcome = f"failed: {self.fault}" if self.fault else "worked"
        head = f"Sign-in at {self.issuer} ({self.provider}) as client {self.client_id} {outcome}"
        return "\n".join([head, *map(str, self.lines)])

    def as_json(self, *, strict: bool = False) -> dict[str, Any]:
        return {"ok": self.is_healthy(strict=strict), **asdict(self)}


async def sign_in(settings: Settings, *, say: Say, provider: str = "", loopback_port: int = 0) -> LoginReport:
    """Sign in once: at the running front door if it takes our admin token, else as `sign_in_once` does.

    Raises:
        UsageFault, CommandFault: as `sign_in_once`.
    """
    name = _choose_provider(settings, provider)
    at_door = None if loopback_port else await sign_in_at_running_door(settings, name, say=say)
    if at_door is None:
        return await sign_in_once(settings, say=say, provider=provider, loopback_port=loopback_port)
    chosen = settings.providers[name]
    report = LoginReport(
        provider=name, issuer=chosen.issuer, client_id=chosen.client_id, redirect_uri=at_door.redirect_uri
    )
    if isinstance(at_door.outcome, str):
        return replace(report, fault=at_door.outcome)
    return replace(report, lines=tuple(describe_arrival(at_door.outcome, settings, chosen)))


async def sign_in_once(
    settings: Settings,
    *,
    say: Say,
    provider: str = "",
    loopback_port: int = 0,
    http_for: Callable[[ProviderSettings, OutgoingSettings], httpx.AsyncClient] = http_client_for,
    clock: Callable[[], float] = time.time,
) -> LoginReport:
    """Print a link with `say`, wait until the person comes back from the provider, and describe what arrived.

    With `loopback_port` the browser comes back to `http://localhost:<port>` instead of the public URL.

    Raises:
        UsageFault: it is not clear which provider is meant.
        CommandFault: this program cannot listen where the provider sends the browser.
    """
    name = _choose_provider(settings, provider)
    stage, bind = _stage(settings, name, loopback_port=loopback_port)
    chosen = stage.providers[name]
    try:
        http = http_for(chosen, stage.outgoing)
    except OSError as exc:
        raise CommandFault(f"providers.{name}.ca_file: cannot be read: {exc.strerror or type(exc).__name__}") from exc
    observer = TrialObserver(say)
    bff = assemble(stage, store=MemoryStore(clock=clock), http=http, clock=clock, observer=observer)
    report = LoginReport(
        provider=name, issuer=chosen.issuer, client_id=chosen.client_id, redirect_uri=bff.urls.callback(name)
    )
    watched = bff.sign_in.providers[name]
    try:
        await watched.metadata()
        sockets = _listen(bind, loopback_port=loopback_port)
        outcome = await _try(Catcher(bff, observer, name), sockets, bind=bind, say=say)
        if isinstance(outcome, str):
            return replace(report, fault=outcome)
        return replace(report, lines=tuple(describe_arrival(outcome, settings, chosen)))
    except AuthError as error:
        return replace(report, fault=explain(error))
    finally:
        for refresh_token in observer.refresh_tokens:
            await watched.revoke(refresh_token)
        await bff.aclose()


async def _try(catcher: Catcher, sockets: list[socket.socket], *, bind: str, say: Say) -> Arrived | str:
    """Serve until one sign-in has come to an end; leaves the browser a moment to get its last page."""
    settings, outcome_of = catcher.bff.settings, catcher.observer.outcome
    try:
        async with _serving(catcher, settings, sockets):
            _invite(settings, catcher, bind=bind, say=say)
            outcome = await asyncio.wait_for(asyncio.shield(outcome_of), settings.limits.login_seconds)
            if isinstance(outcome, Arrived):
                with suppress(TimeoutError):
                    await asyncio.wait_for(catcher.said_farewell.wait(), FAREWELL_SECONDS)
            return outcome
    except TimeoutError:
        return NOBODY_CAME


def _choose_provider(settings: Settings, wanted: str) -> str:
    names = list(settings.providers)
    if wanted and wanted not in names:
        raise UsageFault(f"--provider: there is no [providers.{wanted}]; there is {', '.join(names)}")
    if not wanted and len(names) != 1:
        raise UsageFault(f"several providers: choose one with --provider: {', '.join(names)}")
    return wanted or names[0]


def _stage(settings: Settings, name: str, *, loopback_port: int) -> tuple[Settings, str]:
    """Return the settings of the trial, and where it listens: the public URL if that is this machine, else `bind`."""
    server = settings.server
    if loopback_port:
        url = f"http://localhost:{loopback_port}"
        changes = {"public_url": url, "origins": (), "environment": "development", "tls": Tls()}
        server = server.model_copy(update=changes)
    url_parts = urlsplit(server.public_url)
    bind = server.bind
    if _is_this_machine(server.public_url):
        host = url_parts.hostname or "localhost"
        host = f"[{host}]" if ":" in host else "localhost" if host.endswith("localhost") else host
        bind = f"{host}:{url_parts.port or 80}"
    changed = {"server": server, "providers": {name: settings.providers[name]}, "routes": ()}
    return settings.model_copy(update=changed), bind


def _is_this_machine(url: str) -> bool:
    """True for a plain-http loopback address, which has no proxy before it."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback(parts)


def _listen(bind: str, *, loopback_port: int) -> list[socket.socket]:
    try:
        return bind_listeners(bind, fix="another --loopback-port" if loopback_port else "--loopback-port")
    except UsageFault:
        raise
    except CommandFault as fault:
        raise CommandFault(
            f"{fault.message}. The provider sends the browser to that address. If the front door runs there, set "
            "secrets.admin_token and start it again: then this command lets it make the sign-in. Or name a "
            "--loopback-port that the provider allows as a redirect URI, or stop the front door for the minute this "
            "takes"
        ) from fault


def _invite(settings: Settings, catcher: Catcher, *, bind: str, say: Say) -> None:
    urls = catcher.bff.urls
    say(f"Redirect URI of this sign-in, to be registered at the provider: {urls.callback(catcher.provider)}")
    if not _is_this_machine(urls.base):
        say(f"{urls.base} must lead to {bind} of this machine, as it does when the front door runs.")
    elif settings.providers[catcher.provider].response_mode == "form_post":
        say('response_mode = "form_post" needs https, or a provider on this very host: try the public URL instead.')
    minutes = max(round(settings.limits.login_seconds / 60), 1)
    say(f"Open this link and sign in, within {minutes} min; it is only for this run:")
    say(f"  {catcher.link}")


@asynccontextmanager
async def _serving(app: ASGIApp, settings: Settings, sockets: list[socket.socket]) -> AsyncIterator[None]:
    """Raises CommandFault: the certificate of `server.tls` cannot be used."""
    server = build_server(app, settings, lifespan="off")
    task = asyncio.create_task(server.serve(sockets=sockets))
    try:
        try:
            await wait_until_started(server, task)
        except OSError as exc:
            raise CommandFault(f"server.tls: cannot be used: {exc.strerror or type(exc).__name__}") from exc
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([task])
        close_all(sockets)
