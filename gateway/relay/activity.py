"""What a person does in an open WebSocket keeps the session from becoming idle."""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

from bff.errors import AuthError
from bff.settings.tables import RouteSettings
from gateway.access.session_cache import LiveSession, SessionCache
from gateway.streamlit.messages import is_user_action


class Activity:
    """Slides the idle time of sessions on what their people send. A task is started only when a slide is due."""

    def __init__(self, cache: SessionCache) -> None:
        self._cache = cache
        self._slides: dict[str, asyncio.Task[None]] = {}

    def noticing(self, receive: Receive, live: LiveSession | None, route: RouteSettings) -> Receive:
        """`receive` that counts the messages of `live`'s person; pings and automatic reruns of Streamlit do not."""
        if live is None or route.no_slide:
            return receive
        reads_streamlit = route.kind == "page"

        async def noticing() -> Message:
            message = await receive()
            data = message.get("bytes") if message["type"] == "websocket.receive" else None
            if message["type"] == "websocket.receive" and not (reads_streamlit and data and not is_user_action(data)):
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
