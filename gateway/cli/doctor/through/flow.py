"""Look at how bytes pass the proxy: in pieces or in one go, how long and how large they may be, and WebSockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from bff.settings.tables import PAGE_BODY_BYTES, Settings
from gateway.cli.doctor.checks import Finding
from gateway.cli.doctor.through.asking import ANSWER_SECONDS, Outside
from gateway.cli.doctor.through.fixes import body_fix, fix
from gateway.cli.doctor.through.wire import NoAnswer, connected
from gateway.probe.answers import HEAD_BYTES, LAST_PIECE, PAUSE_SECONDS, PIECES
from gateway.probe.token import HEADER

FILLER: Final = "vestibule-probe-filler"
HALF_BYTES: Final = 512
BETWEEN_SECONDS: Final = 1.0
REFUSAL_SECONDS: Final = 2.0
SLACK_SECONDS: Final = 5.0
SOCKET_SECONDS: Final = 10.0
_WORD: Final = "are you there"
_TOO_LARGE: Final = 413
_NOT_REFUSED: Final = (0, 200, 408, 504)
"""Answers to a body that was announced: none, that of the door, or that the rest of it does not come."""


async def look_at_stream(outside: Outside, *, now: float) -> Finding:
    """See whether an answer that is sent in pieces arrives in pieces."""
    _, head = outside.head("stream", now=now)
    reply = await outside.get(head)
    if reply.status != 200 or not reply.pieces:
        return Finding("fault", "answers", f"a streamed answer does not arrive: status {reply.status}")
    first, last = reply.pieces[0][0], reply.pieces[-1][0]
    if last - first < PAUSE_SECONDS:
        says = (
            f"{PIECES} pieces, sent over {PIECES * PAUSE_SECONDS:.1f} s, arrive at once: the proxy keeps answers back"
        )
        return Finding("fault", "answers", f"{says}; {fix('answer_buffered')}")
    return Finding("ok", "answers", "a streamed answer arrives in pieces")


async def look_at_upload(outside: Outside, *, now: float) -> Finding:
    """See whether the door gets the first piece of a request while the rest is not sent yet."""
    _, head = outside.head("upload", now=now, length=2 * HALF_BYTES)
    async with connected(outside.place) as exchange:
        await exchange.send(head + b"x" * HALF_BYTES)
        await asyncio.sleep(BETWEEN_SECONDS)
        await exchange.send(b"x" * HALF_BYTES)
        reply = await exchange.whole(seconds=ANSWER_SECONDS)
    try:
        arrived = json.loads(reply.body)
    except ValueError:
        arrived = {}
    if reply.status != 200 or arrived.get("bytes") != 2 * HALF_BYTES:
        return Finding("fault", "requests", f"an upload does not arrive whole: status {reply.status}")
    if arrived["seconds"] < BETWEEN_SECONDS / 2:
        says = "the proxy keeps an upload until it has all of it"
        return Finding("warning", "requests", f"{says}; {fix('request_buffered')}")
    return Finding("ok", "requests", "the first piece of an upload arrives before the last is sent")


async def look_at_body_size(outside: Outside, *, now: float) -> Finding:
    """Announce the largest body that a route takes, without sending it, and see whether the proxy refuses."""
    size = largest_body(outside.settings)
    _, head = outside.head("upload", now=now, length=size)
    async with connected(outside.place) as exchange:
        await exchange.send(head + b"x")
        status = 0
        with suppress(NoAnswer):
            status = (await exchange.head(seconds=REFUSAL_SECONDS)).status
    if status == _TOO_LARGE:
        says = f"routes take bodies of up to {size} bytes, but the proxy refuses such a request (413)"
        return Finding("fault", "body", f"{says}; {body_fix(size)}")
    if status not in _NOT_REFUSED:
        return Finding("fault", "body", f"a request with a body of {size} bytes is answered with {status}")
    return Finding("ok", "body", f"bodies of {size} bytes, the most that a route takes, are not refused")


def largest_body(settings: Settings) -> int:
    """Return the most that any route takes; routes without a limit count as pages."""
    return max((route.max_body_bytes or PAGE_BODY_BYTES for route in settings.routes), default=PAGE_BODY_BYTES)


async def look_at_heads(outside: Outside, *, now: float) -> list[Finding]:
    """Send and ask for a head with one line of 8 kB, as long cookies and redirects have."""
    return [await _long_request(outside, now=now), await _long_answer(outside, now=now)]


async def _long_request(outside: Outside, *, now: float) -> Finding:
    if outside.settings.limits.header_bytes < 2 * HEAD_BYTES:
        return Finding("ok", "request head", "not looked at: limits.header_bytes of the door is below 16 kB")
    cookie = ("Cookie", f"{FILLER}={'x' * HEAD_BYTES}")
    _, head = outside.head("look", now=now, headers=[cookie])
    try:
        status = (await outside.get(head)).status
    except NoAnswer as failure:
        return Finding("fault", "request head", f"a cookie of 8 kB gets no answer: {failure}; {fix('header_in')}")
    if status != 200:
        return Finding("fault", "request head", f"a cookie of 8 kB is answered with {status}; {fix('header_in')}")
    return Finding("ok", "request head", "a cookie of 8 kB passes")


async def _long_answer(outside: Outside, *, now: float) -> Finding:
    _, head = outside.head("head", now=now)
    reply = await outside.get(head)
    if reply.status != 200 or len(reply.header("x-vestibule-filler")) != HEAD_BYTES:
        says = f"an answer with a header of 8 kB arrives as {reply.status}, so long redirects fail"
        return Finding("fault", "answer head", f"{says}; {fix('header_out')}")
    return Finding("ok", "answer head", "a header of 8 kB passes")


async def look_at_quiet(outside: Outside, *, now: float, seconds: int) -> list[Finding]:
    """See whether the proxy lets an answer pause for `seconds`; 0 does not look."""
    if not seconds:
        return []
    _, head = outside.head("quiet", now=now, seconds=seconds)
    reply = await outside.get(head, seconds=seconds + SLACK_SECONDS)
    if reply.status == 200 and reply.is_whole and reply.body.endswith(LAST_PIECE):
        return [Finding("ok", "time-outs", f"an answer may pause for {seconds} seconds")]
    says = f"the proxy cuts an answer that pauses for {seconds} seconds"
    return [Finding("fault", "time-outs", f"{says}; {fix('time_out')}")]


async def look_at_socket(outside: Outside, *, now: float) -> Finding:
    """Open a WebSocket and get one message back, if any route is proxied here: forward-auth needs none."""
    if not any(route.upstream for route in outside.settings.routes):
        return Finding("ok", "upgrade", "no route has an upstream, so no WebSocket comes this way")
    _, token = outside.token("socket", now=now)
    scheme = "wss" if outside.place.tls else "ws"
    address = f"{scheme}://{outside.place.named}{outside.target('socket')}"
    try:
        async with (
            asyncio.timeout(SOCKET_SECONDS),
            connect(
                address,
                ssl=outside.place.tls,
                additional_headers={HEADER: token},
                origin=outside.urls.origin,  # type: ignore[arg-type]  # a NewType of str
                compression=None,
                proxy=None,
            ) as socket,
        ):
            await socket.send(_WORD)
            echoed = await socket.recv()
    except InvalidStatus as refused:
        return _no_upgrade(f"status {refused.response.status_code} in place of 101")
    except (InvalidHandshake, WebSocketException, OSError, EOFError, TimeoutError) as failure:
        return _no_upgrade(type(failure).__name__)
    return (
        Finding("ok", "upgrade", "a WebSocket opens") if echoed == _WORD else _no_upgrade("another message came back")
    )


def _no_upgrade(how: str) -> Finding:
    return Finding("fault", "upgrade", f"no WebSocket opens ({how}), and Streamlit pages stay empty; {fix('upgrade')}")
