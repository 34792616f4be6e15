"""What the recording upstream can answer."""

from __future__ import annotations

import asyncio
import hashlib
import json as json_module
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from .recorded import RecordedRequest

Step = bytes | str | float
HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]
HANG = math.inf
"""As a step of a stream: send no more, keep the connection open."""
_PATTERN = bytes(range(256)) * 256


def pattern_blocks(size: int) -> Iterable[bytes]:
    """Yield `size` predictable bytes in blocks of 64 KiB, without holding them."""
    whole, rest = divmod(size, len(_PATTERN))
    for _ in range(whole):
        yield _PATTERN
    if rest:
        yield _PATTERN[:rest]


def pattern_sha256(size: int) -> str:
    """The SHA-256 of the generated body of this size."""
    digest = hashlib.sha256()
    for block in pattern_blocks(size):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Exactly one of `raw`, `size`, `stream`, `json`, `body` says what is sent; the rest says how."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    json: Any = None
    raw: bytes | None = None
    """Bytes in place of a whole HTTP answer."""
    stream: tuple[Step, ...] | None = None
    """Parts of the body, and numbers: pauses in seconds, or HANG."""
    size: int | None = None
    """A generated body of this many bytes (see `pattern_sha256`)."""
    chunked: bool = False
    delay: float = 0.0
    """Wait this long before answering; HANG never answers."""
    read_rate: float | None = None
    """Read the request body at most this fast, in bytes per second."""
    before_body: bool = False
    """Answer without reading the request body, then close."""
    close_after: int | None = None
    """Cut the connection after this many bytes of body, while the headers promise all of it."""
    reset: bool = False
    """Make a cut a TCP reset."""
    close: bool = False
    """Close after the answer, with `Connection: close`."""


Handler = Callable[[RecordedRequest], Reply]


def make_reply(
    *, headers: HeaderInput = (), body: bytes | str = b"", stream: Sequence[Step] | None = None, **options: Any
) -> Reply:
    """Build a `Reply` from loose arguments."""
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    content = body.encode() if isinstance(body, str) else body
    steps = tuple(stream) if stream is not None else None
    return Reply(headers=pairs, body=content, stream=steps, **options)


def sse_reply(events: Sequence[str], *, every: float = 0.0, hang: bool = False) -> Reply:
    """Build a server-sent event stream, `every` seconds apart, left open at its end with `hang`."""
    steps: list[Step] = []
    for event in events:
        lines = "".join(f"data: {line}\n" for line in event.split("\n"))
        steps += [lines + "\n", every]
    headers = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
    return Reply(headers=headers, stream=(*steps, *([HANG] if hang else [])), chunked=True)


def echo_reply(request: RecordedRequest) -> Reply:
    return Reply(json=request.as_json())


def _has(headers: Iterable[tuple[str, str]], name: str) -> bool:
    return any(header.lower() == name for header, _ in headers)


def write_head(reply: Reply, length: int | None) -> bytes:
    """Write status line and headers; `length=None` means no framing is added (the end is the close)."""
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    headers = list(reply.headers)
    if reply.json is not None and not _has(headers, "content-type"):
        headers.append(("Content-Type", "application/json"))
    framed = _has(headers, "content-length") or _has(headers, "transfer-encoding")
    if reply.chunked and not framed:
        headers.append(("Transfer-Encoding", "chunked"))
    elif length is not None and not framed and reply.status not in (204, 304):
        headers.append(("Content-Length", str(length)))
    if (reply.close or length is None) and not reply.chunked and not _has(headers, "connection"):
        headers.append(("Connection", "close"))
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def prepare(reply: Reply) -> tuple[bytes, int | None]:
    """Return the whole body of a small reply and its length; a stream's or generated body is written elsewhere."""
    if reply.stream is not None:
        return b"", None
    if reply.size is not None:
        return b"", reply.size
    body = json_module.dumps(reply.json).encode() if reply.json is not None else reply.body
    return body, len(body)


async def body_parts(reply: Reply, body: bytes) -> AsyncIterator[bytes]:
    """Yield the body in the order and at the speed that the reply asks for."""
    if reply.size is not None:
        for block in pattern_blocks(reply.size):
            yield block
    elif reply.stream is not None:
        for step in reply.stream:
            if isinstance(step, bytes | str):
                yield step.encode() if isinstance(step, str) else step
            else:
                await pause(step)
    elif body:
        yield body


async def pause(seconds: float) -> None:
    """Sleep; HANG sleeps until the server stops."""
    if math.isinf(seconds):
        await asyncio.Event().wait()
    elif seconds > 0:
        await asyncio.sleep(seconds)
