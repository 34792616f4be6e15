"""The management listener: liveness, readiness, administration. Nothing of it is on the public one."""

from __future__ import annotations

import asyncio
import json

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.audit import attribute_events
from bff.errors import AuthError
from bff.pages import Page
from bff.provider import Provider
from bff.request_facts import new_request_id
from gateway.admin import Admin
from gateway.app import FrontDoor
from gateway.problems import send_page, stamping
from gateway.upstreams import NetworkUpstream

PROBE_SECONDS = 2


def create_management_app(app: FrontDoor) -> ASGIApp:
    """`/healthz`: the process turns; `/readyz`: each part answers, as JSON, 503 when one does not."""

    admin = Admin(app)

    async def management(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer, request_id = scope.get("client"), new_request_id()
        attribute_events(client=peer[0] if peer else "", request_id=request_id)
        match scope["path"]:
            case "/healthz":
                page = _json(200, {"status": "ok"})
            case "/readyz":
                parts = await probe_parts(app)
                ready = parts["store"] == "ok"
                page = _json(200 if ready else 503, {"status": "ok" if ready else "not ready", "parts": parts})
            case path if path.startswith("/admin/"):
                page = await _administer(admin, scope, receive)
            case _:
                page = _json(404, {"status": "not found"})
        await send_page(scope, stamping(send, request_id, secure=False), page)

    return management


async def probe_parts(app: FrontDoor) -> dict[str, str]:
    """State of the store, of each provider (as last seen) and of each upstream (can it be dialled)."""
    parts = {"store": await _store(app)}
    for name, provider in app.bff.sign_in.providers.items():
        parts[f"provider:{name}"] = _provider(provider)
    for route_id, chosen in app.upstreams.items():
        for upstream in chosen.upstreams:
            if isinstance(upstream, NetworkUpstream):
                parts[f"upstream:{route_id}"] = await _upstream(upstream)
    return parts


async def _administer(admin: Admin, scope: Scope, receive: Receive) -> Page:
    try:
        return _json(200, await admin.answer(scope, receive))
    except AuthError as error:
        return _json(error.status, {"code": error.code, "detail": error.message})


def _provider(provider: Provider) -> str:
    if provider.is_silent:
        return "did not answer last time"
    return "ok" if provider.is_known else "not asked yet"


async def _store(app: FrontDoor) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await app.bff.store.ping()
    except (AuthError, TimeoutError):
        return "does not answer"
    return "ok"


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
    return "ok"


def _json(status: int, value: object) -> Page:
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    return Page(status, headers, json.dumps(value).encode())
