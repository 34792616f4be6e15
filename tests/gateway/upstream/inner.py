"""Applications that run inside the gateway's process in these tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

EVENTS: list[str] = []
"""What happened inside, for the test to see."""
HEARD_ONE = threading.Event()
"""Set by a test once it has read the first part of a stream."""


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    EVENTS.append("started")
    yield {"model": "ready"}
    EVENTS.append("stopped")


async def show(request: Request) -> Response:
    """Answer with what the application sees of the request."""
    scope = request.scope
    return JSONResponse(
        {
            "method": request.method,
            "path": scope["path"],
            "raw_path": scope["raw_path"].decode(),
            "root_path": scope["root_path"],
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": (await request.body()).decode(),
            "model": request.state.model,
            "extensions": list(scope["extensions"]),
        }
    )


async def stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await asyncio.to_thread(HEARD_ONE.wait, 20)
        yield b"two"

    return StreamingResponse(parts(), headers={"X-Accel-Redirect": "/x", "Set-Cookie": "vestibule=1"})


async def page(request: Request) -> Response:
    return HTMLResponse("<html><head></head></html>")


async def fail(request: Request) -> Response:
    raise RuntimeError("secret detail")


async def fail_late(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("secret detail")

    return StreamingResponse(parts())


async def echo(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    EVENTS.append(",".join(websocket.scope["subprotocols"]))
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                EVENTS.append(f"left {message.get('code')}")
                return
            text = message.get("text")
            if text == "close":
                await websocket.close(4000, "asked")
                return
            if text == "break":
                raise RuntimeError("secret detail")
            await websocket.send({"type": "websocket.send", "text": text, "bytes": message.get("bytes")})
    except WebSocketDisconnect:
        EVENTS.append("left")


async def refuse(websocket: WebSocket) -> None:
    await websocket.send_denial_response(Response("no", status_code=403))


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/show/{rest:path}", show, methods=["GET", "POST"]),
        Route("/stream", stream),
        Route("/page", page),
        Route("/fail", fail),
        Route("/fail-late", fail_late),
        WebSocketRoute("/s", echo),
        WebSocketRoute("/refused", refuse),
    ],
)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application without lifespan, which answers nothing on `/silent`."""
    if scope["type"] == "lifespan":
        raise NotImplementedError("no lifespan here")
    if scope["path"].endswith("/silent"):
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Content-Length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def broken_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


not_callable = "text"
