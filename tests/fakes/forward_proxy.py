"""A forward proxy on a real socket: tunnels by CONNECT, plain requests by their absolute address."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from .background import LoopThread, bind_socket

HEAD_SECONDS = 5.0


class ForwardProxy:
    """Records all requests. With `user` and `password` it answers 407 to everybody else."""

    def __init__(self, *, user: str = "", password: str = "", refuses: int = 0) -> None:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._wanted = f"Basic {token}" if user else ""
        self._refuses = refuses
        self._thread = LoopThread()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.tunnels: list[str] = []
        """`host:port` of each CONNECT."""
        self.plain: list[str] = []
        """The address of each request without TLS."""
        self.heads: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._thread.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.run(self._close())
        self._thread.stop()

    async def _listen(self) -> None:
        bound = bind_socket("127.0.0.1")
        self.port = bound.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=bound)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(HEAD_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        if status := self._refuses or (407 if self._wanted and self._wanted.encode() not in head else 0):
            writer.write(f"HTTP/1.1 {status} words-of-the-proxy\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        if method == "CONNECT":
            self.tunnels.append(target)
            host, _, port = target.rpartition(":")
            there, out = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            self.plain.append(target)
            url = urlsplit(target)
            there, out = await asyncio.open_connection(url.hostname, url.port or 80)
            lines = [line for line in head.split(b"\r\n")[1:] if not line.lower().startswith(b"proxy-")]
            path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
            out.write(b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines]))
        await asyncio.gather(_pass_on(reader, out), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
