"""Answer probes: the door tells the holder of the server's keys what arrives there, and how it comes back.

Without a token that holds, the address does not exist: the request goes on and gets the 404 of every unknown address.
A token works once. Answers are small, few at a time, and nobody may keep them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from starlette.types import Receive, Scope, Send

from bff.assembly import Bff
from bff.browser.cookies import build_set_cookie
from bff.errors import Unavailable
from bff.stores.protocol import TooMany
from gateway.headers.forwarded import ClientEndpoint
from gateway.headers.request import RequestHygiene
from gateway.probe.sighting import describe_arrival
from gateway.probe.token import HEADER, PATH, SECONDS, Probe, read_probe

PIECES: Final = 4
PIECE: Final = b"piece of a stream\n"
LAST_PIECE: Final = b"last piece\n"
PAUSE_SECONDS: Final = 0.3
HEAD_BYTES: Final = 8192
MOST_UPLOAD_BYTES: Final = 65_536
MOST_AT_ONCE: Final = 16
SOCKET_SECONDS: Final = 10
MOST_SOCKET_CHARACTERS: Final = 64
COOKIE: Final = "__Host-vestibule-probe"
INSECURE_COOKIE: Final = "vestibule-probe"
_HEADER: Final = HEADER.lower().encode("ascii")
_FILLER: Final = b"x-vestibule-filler"
_KIND: Final = "probe"
_MOST_TOKENS: Final = 1000
_TEXT: Final = b"text/plain; charset=utf-8"
_JSON: Final = b"application/json"


class Probes:
    """Serves the addresses of probes. Made once per worker."""

    def __init__(self, bff: Bff, hygienes: Mapping[str, RequestHygiene]) -> None:
        self._bff = bff
        self._hygienes = hygienes
        self._start = (bff.urls.base_path + bff.urls.auth_path + PATH).encode("ascii")
        self._open = 0

    async def serve(self, scope: Scope, client: ClientEndpoint, receive: Receive, send: Send) -> bool:
        """Answer a probe. False, and nothing is sent, if the request is none.

        Raises:
            Unavailable: `probe_limit`; the store does not answer.
        """
        raw_path: bytes = scope.get("raw_path") or b""
        if not raw_path.startswith(self._start):
            return False
        probe = await self._probe_of(scope, raw_path.removeprefix(self._start).decode("latin-1"))
        if probe is None:
            return False
        if self._open >= MOST_AT_ONCE:
            raise Unavailable("probe_limit", "Too many probes at once.")
        self._open += 1
        try:
            await self._answer(probe, scope, client, receive, send)
        finally:
            self._open -= 1
        return True

    async def _probe_of(self, scope: Scope, kind: str) -> Probe | None:
        tokens = [value.decode("latin-1") for name, value in scope["headers"] if name == _HEADER]
        if len(tokens) != 1:
            return None
        probe = read_probe(tokens[0], self._bff.keyring, kind=kind, now=self._bff.clock())
        if probe is None or (probe.kind == "socket") != (scope["type"] == "websocket"):
            return None
        try:
            is_new = await self._bff.store.put_once(_KIND, probe.nonce, b"", seconds=2 * SECONDS, cap=_MOST_TOKENS)
        except TooMany:
            return None
        return probe if is_new else None

    async def _answer(self, probe: Probe, scope: Scope, client: ClientEndpoint, receive: Receive, send: Send) -> None:
        match probe.kind:
            case "look":
                seen = describe_arrival(scope, client, nonce=probe.nonce, hygienes=self._hygienes.items())
                await _whole(send, _JSON, json.dumps(seen).encode(), (b"set-cookie", self._cookie(probe)))
            case "head":
                await _whole(send, _TEXT, b"ok\n", (_FILLER, b"x" * HEAD_BYTES))
            case "stream":
                await _pieces(receive, send, [PAUSE_SECONDS] * PIECES)
            case "quiet":
                await _pieces(receive, send, [probe.seconds])
            case "upload":
                await _swallow(receive, send)
            case "socket":
                await _echo(receive, send)
            case unknown:
                assert_never(unknown)

    def _cookie(self, probe: Probe) -> bytes:
        secure = self._bff.urls.is_secure
        name = COOKIE if secure else INSECURE_COOKIE
        return build_set_cookie(name, probe.nonce, secure=secure, max_age=SECONDS).encode("ascii")


async def _begin(send: Send, content_type: bytes, *further: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-store"), *further]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _whole(send: Send, content_type: bytes, body: bytes, *further: tuple[bytes, bytes]) -> None:
    await _begin(send, content_type, (b"content-length", str(len(body)).encode("ascii")), *further)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _pieces(receive: Receive, send: Send, pauses: Sequence[float]) -> None:
    """Send a piece before each pause, and one at the end. A client that goes away ends it."""
    await _begin(send, _TEXT)
    for seconds in pauses:
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        if await _is_gone_within(receive, seconds):
            return
    await send({"type": "http.response.body", "body": LAST_PIECE, "more_body": False})


async def _is_gone_within(receive: Receive, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass  # the request has no body: this is its end
    except TimeoutError:
        return False
    return True


async def _swallow(receive: Receive, send: Send) -> None:
    """Read a body up to a limit, and say how much came and how long after its first piece the last one came."""
    message = await receive()
    size, started = len(message.get("body", b"")), time.monotonic()
    while message.get("more_body") and size <= MOST_UPLOAD_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
    document = {"bytes": size, "seconds": round(time.monotonic() - started, 2)}
    await _whole(send, _JSON, json.dumps(document).encode())


async def _echo(receive: Receive, send: Send) -> None:
    """Accept the socket, send one short message back, and close."""
    await receive()
    await send({"type": "websocket.accept"})
    try:
        async with asyncio.timeout(SOCKET_SECONDS):
            message = await receive()
    except TimeoutError:
        message = {}
    text = message.get("text") or ""
    if message.get("type") == "websocket.disconnect":
        return
    await send({"type": "websocket.send", "text": text[:MOST_SOCKET_CHARACTERS]})
    await send({"type": "websocket.close", "code": 1000})
