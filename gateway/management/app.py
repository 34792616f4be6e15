"""The management listener: liveness, readiness, administration. The public listener has nothing of this."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.audit import attribute_events
from bff.browser.request_facts import new_request_id
from bff.errors import AuthError, Misdirected
from bff.provider.client import Provider
from bff.settings.public_urls import without_port
from bff.web.pages import Page
from gateway.app import GatewayApp
from gateway.management.admin import Admin
from gateway.problems import send_page, stamping
from gateway.processes.listeners import split_bind
from gateway.upstream.choice import NetworkUpstream

PROBE_SECONDS = 2
OK = "ok"


def create_management_app(app: GatewayApp) -> ASGIApp:
    """Build the application. `/healthz`: the process is running. `/readyz`: each part answers, as JSON; otherwise 503.

    Requests under a foreign host name are refused. Otherwise an attacker could let his own name point to this machine,
    and his page could read the answers in a browser here (DNS rebinding).
    """
    admin = Admin(app)
    server = app.bff.settings.server
    names = frozenset(
        without_port(host).lower()
        for host in ("localhost", split_bind(server.management_bind)[0], *server.internal_hosts)
    )

    async def management(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer, request_id = scope.get("client"), new_request_id()
        attribute_events(client=peer[0] if peer else "", request_id=request_id)
        match scope["path"] if _is_asked_under(names, scope) else None:
            case None:
                page = _misdirected(app)
            case "/healthz":
                page = _json(200, {"status": "ok"})
            case "/readyz":
                parts = await probe_parts(app)
                ready = parts["store"] == OK
                page = _json(200 if ready else 503, {"status": "ok" if ready else "not ready", "parts": parts})
            case path if path.startswith("/admin/"):
                page = await _administer(admin, scope, receive)
            case _:
                page = _json(404, {"status": "not found"})
        await send_page(scope, stamping(send, request_id, secure=False), page)

    return management


def _is_asked_under(names: frozenset[str], scope: Scope) -> bool:
    """True if there is one Host, and it is an address or one of `names`. Any port is fine: probes use mapped ports."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    name = without_port(hosts[0]).lower()
    return name in names or _is_address(name)


def _is_address(name: str) -> bool:
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return (ip_address(bare).version == 6) == (bare != name)  # in a Host header IPv6 has brackets and IPv4 has none
    except ValueError:
        return False


def _misdirected(app: GatewayApp) -> Page:
    error = Misdirected(detail="management: probe by address, or add the name to server.internal_hosts")
    app.bff.audit.event("request_refused", reason=error.code, detail=error.detail)
    return _json(error.status, {"code": error.code, "detail": error.message})


async def probe_parts(app: GatewayApp) -> dict[str, str]:
    """Return the state of the store, of each provider (as last seen), and of each upstream (if it accepts a
    connection).
    """
    parts = {"store": await _store(app)}
    for name, provider in app.bff.sign_in.providers.items():
        parts[f"provider:{name}"] = _provider(provider)
    for route_id, chosen in app.upstreams.items():
        remote = [upstream for upstream in chosen.upstreams if isinstance(upstream, NetworkUpstream)]
        if remote:
            parts[f"upstream:{route_id}"] = _together(await asyncio.gather(*map(_upstream, remote)))
    return parts


def _together(states: Sequence[str]) -> str:
    """Say in one word or sentence how the upstreams of one route are."""
    if len(set(states)) == 1:
        return states[0]
    return f"{states.count(OK)} of {len(states)} answer"


async def _administer(admin: Admin, scope: Scope, receive: Receive) -> Page:
    try:
        return _json(200, await admin.answer(scope, receive))
    except AuthError as error:
        return _json(error.status, {"code": error.code, "detail": error.message})


def _provider(provider: Provider) -> str:
    if provider.is_silent:
        return "did not answer last time"
    return OK if provider.is_known else "not asked yet"


async def _store(app: GatewayApp) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await app.bff.store.ping()
    except (AuthError, TimeoutError):
        return "does not answer"
    return OK


async def _upstream(upstream: NetworkUpstream) -> str:
    target = upstream.http.target
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            if target.socket_path:
                _, writer = await asyncio.open_unix_connection(target.socket_path)
            else:
                _, writer = await asyncio.open_connection(target.host, target.port)
            writer.close()
    except (OSError, TimeoutError):
        return "does not answer"
    return OK


def _json(status: int, value: object) -> Page:
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    return Page(status, headers, json.dumps(value).encode())
