"""A trial sign-in as a person does it: the command listens, the browser signs in, and the report comes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from bff.settings.loading import parse_settings
from bff.settings.tables import Settings
from gateway.cli.doctor.login import LoginReport, sign_in_once
from tests.fakes import CookieClient, FakeProvider

KEY = "unit-test-key-0123456789-abcdefghijklmnop"
LINK = re.compile(r"http\S+/auth/login\S+")


def tables_for(provider: FakeProvider, port: int, **over: Any) -> dict[str, Any]:
    corp = {
        "issuer": provider.issuer,
        "client_id": provider.client.client_id,
        "client_secret": provider.client.client_secret,
        **over.pop("corp", {}),
    }
    server = {"public_url": f"http://localhost:{port}", "environment": "development", **over.pop("server", {})}
    return {"server": server, "secrets": {"keys": [KEY]}, "providers": {"corp": corp}, **over}


def settings_for(provider: FakeProvider, port: int, **over: Any) -> Settings:
    return parse_settings(tables_for(provider, port, **over))


async def trial(settings: Settings, visit: Any = None, **options: Any) -> tuple[LoginReport, Any]:
    """Run one trial; `visit` gets a browser and the printed link. Returns the report and what `visit` returned."""
    said: asyncio.Queue[str] = asyncio.Queue()
    running = asyncio.create_task(sign_in_once(settings, say=said.put_nowait, **options))
    link = ""
    while not link and not running.done():
        waiting = asyncio.ensure_future(said.get())
        await asyncio.wait([waiting, running], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and (found := LINK.search(waiting.result())):
            link = found[0]
        waiting.cancel()
    result = None
    if link:
        with CookieClient() as browser:
            result = await asyncio.to_thread(visit or walk, browser, link)
    return await asyncio.wait_for(running, 20), result


def walk(browser: CookieClient, link: str) -> str:
    return str(browser.walk(browser.get(link))[-1].text)
