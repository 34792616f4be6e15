"""The lifespan protocol of an application in this process (ASGI 3, lifespan 2.0)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.types import ASGIApp, Message

from bff.errors import UpstreamFailed

_SHUTDOWN_SECONDS: Final = 5.0


class Lifespan:
    """Start and stop an application. One without lifespan needs neither. `state` holds what its start-up stored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Run the start-up.

        Raises:
            UpstreamFailed: the application reports that it failed.
        """
        self._task = asyncio.create_task(self._run())
        answer = await self._exchange("lifespan.startup")
        if answer == "lifespan.startup.failed":
            await self._task
            raise UpstreamFailed(detail="the application did not start")

    async def stop(self) -> None:
        """Run the shutdown. Wait for it a few seconds at most."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        self._task = task
        try:
            async with asyncio.timeout(_SHUTDOWN_SECONDS):
                await self._exchange("lifespan.shutdown")
                await task
        except TimeoutError:
            task.cancel()
            await asyncio.wait([task], timeout=_SHUTDOWN_SECONDS)  # it may clean up; it may also refuse to end
        finally:
            self._task = None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._events.get, self._answers.put)
        except Exception as exc:
            # Applications without lifespan raise, as the specification asks of them.
            self._answers.put_nowait({"type": "lifespan.unsupported", "message": type(exc).__name__})

    async def _exchange(self, event: str) -> str:
        """Send one event and wait for its answer, or for the application to end."""
        if self._task is None:
            return ""
        self._events.put_nowait({"type": event})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and self._answers.empty():
            answer.cancel()
            await asyncio.wait([answer])
            return ""
        return str((await answer)["type"])
