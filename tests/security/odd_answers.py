"""An application in this process with answers that are not valid: interim statuses, two lengths, refused handshakes."""

from __future__ import annotations

from typing import Any, Final

HIDDEN: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhidden"
TWO_LENGTHS: Final = [(b"content-length", b"0"), (b"content-length", b"%d" % len(HIDDEN))]
LENGTH: Final = [(b"content-length", b"%d" % len(HIDDEN))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer `/<status>` with that status, `/two` with two lengths; close every handshake but those below `/say/`."""
    if scope["type"] == "lifespan":
        return
    what = scope["path"].rpartition("/")[2]
    status = int(what) if what.isdigit() else 200
    if scope["type"] == "http":
        headers = TWO_LENGTHS if what == "two" else [] if status in (204, 304) else LENGTH
        if what == "304":
            headers = [(b"etag", b'"one"'), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if status in (204, 304) else HIDDEN})
        return
    await receive()
    if "/say/" in scope["path"]:
        await send({"type": "websocket.http.response.start", "status": status, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"no"})
    else:
        await send({"type": "websocket.close", "code": 1000})
