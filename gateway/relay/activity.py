"""What a person does in an open WebSocket keeps the session from becoming idle."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from bff.errors import AuthError
from gateway.access.session_cache import LiveSession, SessionCache
from gateway.relay.use import MessageRule


class Activity:
    """Slides the idle time of sessions on what their people send. A task is started only when a slide is due."""

    def __init__(self, cache: SessionCache) -> None:
        self._cache = cache
        self._slides: dict[str, asyncio.Task[None]] = {}

    def noticing(self, receive: Receive, live: LiveSession | None, is_use: MessageRule | None) -> Receive:
        """`receive` that counts those messages of `live`'s person that `is_use` says are use; None: none is."""
        if live is None or is_use is None:
            return receive

        async def noticing() -> Message:
            message = await receive()
            if is_use(message):
                self._notice(live)
            return message

        return noticing

    async def aclose(self) -> None:
        """Stop the slides under way; returns when they have ended."""
        slides = list(self._slides.values())
        for slide in slides:
            slide.cancel()
        await asyncio.gather(*slides, return_exceptions=True)

    def _notice(self, live: LiveSession) -> None:
        name = live.session.name
        if name in self._slides or not self._cache.is_slide_due(live):
            return
        task = self._slides[name] = asyncio.create_task(self._slide(live))
        task.add_done_callback(lambda _: self._slides.pop(name, None))

    async def _slide(self, live: LiveSession) -> None:
        try:
            current = await self._cache.get(live.session.name)
            if current is not None:
                await self._cache.slide(current)
                live.touched_at = current.touched_at
        except AuthError:
            return  # the store is out; the request that needs it says so
