"""Reading HTTP/1.1 requests for the recording upstream, keeping every byte."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field

import httptools

from .recorded import HeaderPairs, RecordedRequest

READ_SIZE = 65_536
HEAD_LIMIT = 4 * 1024 * 1024


class WatchedReader(asyncio.StreamReader):
    """A stream reader that tells when the client closed its side, without being read."""

    def __init__(self) -> None:
        super().__init__(limit=HEAD_LIMIT)
        self.ended = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.ended.set()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.ended.set()


class MalformedRequest(Exception):
    """Bytes that are not an HTTP/1.1 request. The exception holds them."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(repr(raw[:200]))
        self.raw = raw


@dataclass(slots=True)
class Head:
    """A request's first part. It is its own httptools callback object."""

    raw: bytes
    target: bytes = b""
    method: str = ""
    version: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    done: bool = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.done = True

    def values(self, name: bytes) -> list[bytes]:
        return [value for header, value in self.headers if header.lower() == name]

    @property
    def keep_alive(self) -> bool:
        wishes = b",".join(self.values(b"connection")).lower()
        return b"keep-alive" in wishes if self.version == "1.0" else b"close" not in wishes

    @property
    def chunked(self) -> bool:
        return any(value.lower().endswith(b"chunked") for value in self.values(b"transfer-encoding"))

    @property
    def content_length(self) -> int:
        lengths = self.values(b"content-length")
        return int(lengths[0]) if lengths else 0


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read one head; None at a clean end of the connection. Raises MalformedRequest."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MalformedRequest(error.partial) from error
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedRequest(await reader.read(READ_SIZE)) from error
    head = Head(raw)
    parser = httptools.HttpRequestParser(head)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise MalformedRequest(raw) from error
    head.method = parser.get_method().decode("ascii")
    head.version = parser.get_http_version()
    if head.chunked and head.values(b"content-length"):
        raise MalformedRequest(raw)
    return head


class BodyRecorder:
    """Read one body, hash all of it and keep the first `keep` bytes."""

    def __init__(self, reader: asyncio.StreamReader, *, keep: int, rate: float | None) -> None:
        self._reader = reader
        self._keep = keep
        self._rate = rate
        self._digest = hashlib.sha256()
        self.kept = bytearray()
        self.wire = bytearray()
        self.size = 0
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False

    async def read(self, head: Head) -> None:
        """Read to the end of the body; stops early, incomplete, when the client goes away."""
        try:
            if head.chunked:
                await self._read_chunks()
            else:
                await self._read_exactly(head.content_length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        self.complete = True

    async def _read_exactly(self, size: int) -> None:
        while size:
            block = await self._reader.read(min(size, self._block()))
            if not block:
                raise asyncio.IncompleteReadError(b"", size)
            size -= len(block)
            self.size += len(block)
            self._digest.update(block)
            self._store(self.kept, block)
            self._store(self.wire, block)
            if self._rate:
                await asyncio.sleep(len(block) / self._rate)

    def _block(self) -> int:
        return max(1, int(self._rate / 20)) if self._rate else READ_SIZE

    def _store(self, target: bytearray, block: bytes) -> None:
        target += block[: max(0, self._keep - len(target))]

    async def _line(self) -> bytes:
        line = await self._reader.readuntil(b"\r\n")
        self._store(self.wire, line)
        return line[:-2]

    async def _read_chunks(self) -> None:
        while True:
            line = await self._line()
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError as error:
                raise MalformedRequest(line) from error
            if size == 0:
                break
            await self._read_exactly(size)
            if await self._line():
                raise MalformedRequest(line)
        while line := await self._line():
            name, _, value = line.partition(b":")
            self.trailers.append((name, value.strip()))

    def record(self, head: Head, connection: int) -> RecordedRequest:
        trailers: HeaderPairs = tuple(self.trailers)
        return RecordedRequest(
            head=head.raw,
            method=head.method,
            target=head.target,
            version=head.version,
            headers=tuple(head.headers),
            body=bytes(self.kept),
            wire_body=bytes(self.wire),
            body_size=self.size,
            body_sha256=self._digest.hexdigest(),
            trailers=trailers,
            connection=connection,
            at=time.time(),
            complete=self.complete,
        )
