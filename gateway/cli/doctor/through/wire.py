"""One HTTP/1.1 request over a connection of its own, byte by byte, and when each piece of the answer came.

A library would add headers, follow the usual order of a request and join pieces. Here these are what is looked at.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httptools

READ_BYTES: Final = 65_536
DIAL_SECONDS: Final = 10.0
MOST_BYTES: Final = 1_048_576


class NoAnswer(Exception):
    """No connection, or no whole answer in time. The text says why, for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to dial: a host with its port. `tls` None is plain http."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @property
    def named(self) -> str:
        """The value of a Host header: with the port, unless it is that of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(slots=True)
class Reply:
    """An answer. `pieces` are the parts of the body with the seconds since the request was sent; 0 is no status."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    def all(self, name: str) -> list[str]:
        """Return the values of a header (lower case)."""
        return [value for given, value in self.headers if given == name]

    def header(self, name: str) -> str:
        return ", ".join(self.all(name))


class Exchange:
    """A connection with one request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._reply = Reply()
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = time.monotonic()

    async def send(self, data: bytes) -> None:
        """Send bytes of the request. A peer that has closed already may have answered before."""
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()
        self._sent_at = time.monotonic()

    async def head(self, *, seconds: float) -> Reply:
        """Read until the head of the answer is there."""
        return await self._read(lambda: self._reply.status > 0, seconds)

    async def whole(self, *, seconds: float) -> Reply:
        """Read to the end of the answer."""
        return await self._read(lambda: self._reply.is_whole, seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._reply.pieces.append((time.monotonic() - self._sent_at, body))

    def on_message_complete(self) -> None:
        self._reply.is_whole = True

    def _ends_with_connection(self) -> bool:
        """True for an answer without a length: its end is that of the connection (RFC 9112 section 6.3)."""
        reply = self._reply
        return reply.status > 0 and not reply.header("content-length") and not reply.header("transfer-encoding")

    async def _read(self, is_enough: Callable[[], bool], seconds: float) -> Reply:
        """Feed the parser until there is enough. What came before a cut or a time-out is kept in the reply.

        Raises:
            NoAnswer: the connection ended, or time was up, before the head of an answer.
        """
        try:
            async with asyncio.timeout(seconds):
                while not is_enough():
                    data = await self._reader.read(READ_BYTES)
                    if not data:
                        self._reply.is_whole |= self._ends_with_connection()
                        break
                    self._parser.feed_data(data)
        except TimeoutError:
            if not self._reply.status:
                raise NoAnswer(f"no answer within {seconds:g} seconds") from None
        except (OSError, httptools.HttpParserError) as exc:
            if not self._reply.status:
                raise NoAnswer(f"the connection broke: {type(exc).__name__}") from None
        if not self._reply.status:
            raise NoAnswer("the connection was closed without an answer")
        return self._reply


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Exchange]:
    """Dial `place`.

    Raises:
        NoAnswer: nothing listens there, or its certificate is not accepted.
    """
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(
                place.host, place.port, ssl=place.tls, server_hostname=place.host if place.tls else None
            )
    except ssl.SSLCertVerificationError as exc:
        raise NoAnswer(f"its certificate is not accepted: {exc.verify_message}") from None
    except TimeoutError:
        raise NoAnswer("no connection in time") from None
    except (OSError, ssl.SSLError) as exc:
        raise NoAnswer(f"no connection: {type(exc).__name__}") from None
    try:
        yield Exchange(reader, writer)
    finally:
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


def request_head(
    method: str, target: str, place: Place, headers: Sequence[tuple[str, str]], *, length: int | None = None
) -> bytes:
    """Write the head of a request, exactly these headers beside Host, Connection and Content-Length."""
    own = [("Host", place.named), *headers, ("Connection", "close")]
    if length is not None:
        own.append(("Content-Length", str(length)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in own)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
