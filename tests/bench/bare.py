"""A bare ASGI function on the same Uvicorn as the front door: the reference for what a question of a proxy may cost.

`python -m tests.bench.bare PORT`
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

HEADERS = [(b"content-length", b"0"), (b"cache-control", b"no-store")]


async def answer(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Say yes to everything."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


if __name__ == "__main__":
    uvicorn.run(
        answer,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )
