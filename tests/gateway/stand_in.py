"""Small applications of a worker, so that a test knows everything they do. They get settings like the real one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from bff.settings.tables import Settings

SLOW_SECONDS = 1.5


class StandIn:
    """`/pid`, `/slow`, `/for-ever`, `/die`, `/settings`; WebSockets echo."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.is_started = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        match scope["type"]:
            case "lifespan":
                await self._lifespan(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                while (message := await receive())["type"] == "websocket.receive":
                    await send({"type": "websocket.send", "text": message["text"]})
            case _:
                await answer(send, await self._body(scope["path"]))

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        print("worker speaking", file=sys.stderr, flush=True)
        self.is_started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.is_started = False
        await send({"type": "lifespan.shutdown.complete"})

    async def _body(self, path: str) -> object:
        print(f"asked for {path}", file=sys.stderr, flush=True)
        match path:
            case "/slow":
                await asyncio.sleep(SLOW_SECONDS)
            case "/for-ever":
                await asyncio.sleep(3600)
            case "/die":
                os._exit(9)
            case "/settings":
                return {
                    "key": self.settings.secrets.keys[0].get_secret_value(),
                    "internal_hosts": self.settings.server.internal_hosts,
                    "upstream": [route.upstream for route in self.settings.routes],
                    "child_variables": [route.streamlit.env for route in self.settings.routes],
                    "marked": [bool(route.streamlit.cwd) for route in self.settings.routes],
                }
        return {"pid": os.getpid(), "is_started": self.is_started}


async def answer(send: Any, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_app(settings: Settings) -> StandIn:
    return StandIn(settings)


def create_failing_app(settings: Settings) -> StandIn:
    raise RuntimeError("this application cannot be built")


def create_refusing_app(settings: Settings) -> StandIn:
    from bff.settings.loading import ConfigurationError, Fault

    raise ConfigurationError((Fault("settings", "routes[0].upstream", "cannot be", "correct it"),))


def create_management_app(app: StandIn) -> Any:
    async def management(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, {"pid": os.getpid(), "is_started": app.is_started})

    return management
