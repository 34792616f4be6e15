"""The end of an application in this process: what the front door breaks off may still clean up."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from gateway.upstream import lifespan
from gateway.upstream.lifespan import Lifespan


class SlowToEnd:
    """An application that does not answer the shutdown. When it is broken off, it needs a moment to clean up."""

    def __init__(self, *, refuses_once: bool = False) -> None:
        self.has_cleaned_up = False
        self._refuses_once = refuses_once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.Event().wait()
        finally:
            if self._refuses_once:
                await asyncio.Event().wait()
            await asyncio.sleep(0.02)
            self.has_cleaned_up = True


async def test_stop_waits_until_an_application_that_was_broken_off_has_cleaned_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifespan, "_SHUTDOWN_SECONDS", 0.2)
    app = SlowToEnd()
    running = Lifespan(app)
    await running.start()
    await running.stop()
    assert app.has_cleaned_up


async def test_stop_does_not_wait_for_ever_for_an_application_that_refuses_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifespan, "_SHUTDOWN_SECONDS", 0.05)
    app = SlowToEnd(refuses_once=True)
    running = Lifespan(app)
    await running.start()
    async with asyncio.timeout(30):
        await running.stop()
    assert not app.has_cleaned_up
