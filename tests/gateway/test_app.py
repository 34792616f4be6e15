"""The whole application starts and stops, and leaves nothing running after it has stopped."""

from __future__ import annotations

import asyncio

from gateway.app import create_app
from tests.bff import factories


async def test_stopping_waits_for_all_background_tasks() -> None:
    before = asyncio.all_tasks()
    app = create_app(factories.settings())
    await app.start()
    assert asyncio.all_tasks() > before
    await app.stop()
    assert asyncio.all_tasks() == before
