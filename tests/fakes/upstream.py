"""An upstream that records raw bytes and can answer anything, over HTTP/1.1 and WebSocket."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from .background import LoopThread, bind_socket
from .recorded import RecordedRequest
from .replies import Handler, HeaderInput, Reply, Step, body_parts, echo_reply, make_reply, pause, prepare, write_head
from .upstream_reader import BodyRecorder, Head, MalformedRequest, WatchedReader, read_head
from .upstream_websocket import UpstreamWebSocket, WebSocketReply

Streams = tuple[WatchedReader, asyncio.StreamWriter]


class _Rule:
    def __init__(self, answer: Reply | Handler | WebSocketReply, times: int | None) -> None:
        self.answer = answer
        self.left = times


class RecordingUpstream:
    """A server under the test's control. Without rules it answers 200 with a JSON echo, and echoes WebSockets.

    ::

        with RecordingUpstream() as upstream:
            upstream.respond("/slow", stream=[b"one", 0.2, b"two"], chunked=True)
            upstream.respond("/bad", raw=b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nab", close=True)
            ...
            assert upstream.last.header("authorization") is None

    A path ending in "*" is a prefix; exact paths win, then the longest prefix. Paths are compared raw, without query.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[str | Path, str | Path] | None = None,
        unix: str | Path | None = None,
        keep_body_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._host, self._port, self._tls, self._unix = host, port, tls, unix
        self._keep = keep_body_bytes
        self._lock = threading.Lock()
        self._rules: dict[str, list[_Rule]] = {}
        self._recorded: list[RecordedRequest] = []
        self._sockets: list[UpstreamWebSocket] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._thread: LoopThread | None = None
        self._server: asyncio.Server | None = None
        self.connections = 0
        """How many connections were ever accepted."""
        self.malformed: list[bytes] = []
        """What arrived that was not an HTTP/1.1 request."""
        self.aborted: list[str] = []
        """Targets whose answer the client did not wait for."""

    # Life

    def start(self) -> Self:
        self._thread = LoopThread().start()
        self._thread.run(self._listen())
        return self

    async def _listen(self) -> None:
        context = None
        if self._tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*self._tls)
        loop = asyncio.get_running_loop()
        if self._unix is not None:
            self._server = await loop.create_unix_server(self._make_protocol, str(self._unix), ssl=context)
            return
        sock = bind_socket(self._host, self._port)
        self._port = int(sock.getsockname()[1])
        self._server = await loop.create_server(self._make_protocol, sock=sock, ssl=context, backlog=1024)

    def _make_protocol(self) -> asyncio.StreamReaderProtocol:
        reader = WatchedReader()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(reader, writer)

        return asyncio.StreamReaderProtocol(reader, serve)

    def stop(self) -> None:
        """Stop listening and cut every connection; `start` takes the same port again."""
        if self._thread is None:
            return
        self._thread.run(self._close())
        self._thread.stop()
        self._thread = None

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """Base URL without a slash at its end; ``unix:/path`` for a Unix socket."""
        return f"unix:{self._unix}" if self._unix else f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def ws_url(self) -> str:
        return "ws" + self.url.removeprefix("http")

    # Programming

    def respond(
        self,
        path: str,
        *,
        status: int = 200,
        headers: HeaderInput = (),
        body: bytes | str = b"",
        json: Any = None,
        raw: bytes | None = None,
        stream: list[Step] | None = None,
        times: int | None = None,
        **how: Any,
    ) -> None:
        """Answer `path` like this from now on, or for `times` requests; `how` are further fields of `Reply`."""
        reply = make_reply(status=status, headers=headers, body=body, json=json, raw=raw, stream=stream, **how)
        self.respond_with(path, reply, times=times)

    def respond_with(
        self,
        path: str,
        answer: Reply | WebSocketReply | Callable[[RecordedRequest], Reply],
        *,
        times: int | None = None,
    ) -> None:
        """Answer `path` with a `Reply` (``sse_reply([...])``), a function of the request, or a `WebSocketReply`."""
        with self._lock:
            self._rules.setdefault(path, []).append(_Rule(answer, times))

    def websocket(self, path: str, *, times: int | None = None, **how: Any) -> None:
        """Treat WebSockets at `path` like this; `how` are fields of `WebSocketReply`."""
        self.respond_with(path, WebSocketReply(**how), times=times)

    def reset(self) -> None:
        """Forget rules and records."""
        with self._lock:
            self._rules.clear()
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded; open sockets stay open and listed."""
        with self._lock:
            self._recorded.clear()
            self.malformed.clear()
            self.aborted.clear()
            self._sockets = [each for each in self._sockets if each.is_open]

    def _answer_for(self, path: str, *, websocket: bool) -> Reply | Handler | WebSocketReply:
        """Choose the rule: one-shots first in order, then the newest permanent one."""
        with self._lock:
            prefixes = [key for key in self._rules if key.endswith("*") and path.startswith(key[:-1])]
            for key in [path, *sorted(prefixes, key=len, reverse=True)]:
                fitting = [
                    rule
                    for rule in self._rules.get(key, [])
                    if rule.left != 0 and (websocket or not isinstance(rule.answer, WebSocketReply))
                ]
                rule = next((rule for rule in fitting if rule.left), fitting[-1] if fitting else None)
                if rule is not None:
                    rule.left = rule.left - 1 if rule.left else rule.left
                    return rule.answer
        return WebSocketReply() if websocket else echo_reply

    # Observation

    @property
    def requests(self) -> list[RecordedRequest]:
        """Requests whose body ended, or whose client went away before (`complete` is False); handshakes too."""
        with self._lock:
            return list(self._recorded)

    @property
    def last(self) -> RecordedRequest:
        return self.requests[-1]

    def requests_to(self, path: str) -> list[RecordedRequest]:
        return [request for request in self.requests if request.path == path]

    @property
    def websockets(self) -> list[UpstreamWebSocket]:
        """Every WebSocket so far, oldest first."""
        with self._lock:
            return list(self._sockets)

    @property
    def websockets_open(self) -> list[UpstreamWebSocket]:
        return [each for each in self.websockets if each.is_open]

    @property
    def connections_open(self) -> int:
        return len(self._open)

    def wait_for(self, condition: Callable[[RecordingUpstream], bool], timeout: float = 5.0) -> None:
        """Wait until a condition holds: ``upstream.wait_for(lambda it: len(it.requests) == 2)``."""
        deadline = time.monotonic() + timeout
        while not condition(self):
            if time.monotonic() > deadline:
                raise TimeoutError("the upstream never got there")
            time.sleep(0.005)

    # The server, on its loop

    async def _serve(self, reader: WatchedReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        self._open.add(writer)
        try:
            while await self._serve_one((reader, writer), connection):
                pass
        except MalformedRequest as error:
            self.malformed.append(error.raw)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        except (ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _serve_one(self, streams: Streams, connection: int) -> bool:
        """Serve one request; False ends the connection."""
        reader, writer = streams
        head = await read_head(reader)
        if head is None:
            return False
        path = head.target.partition(b"?")[0].decode("latin-1")
        is_websocket = any(value.lower() == b"websocket" for value in head.values(b"upgrade"))
        answer = self._answer_for(path, websocket=is_websocket)
        recorder = BodyRecorder(reader, keep=self._keep, rate=answer.read_rate if isinstance(answer, Reply) else None)
        if isinstance(answer, Reply) and answer.before_body:
            self._record(recorder.record(head, connection))
            await self._send_reply(streams, head, answer)
            return False
        if any(value.lower() == b"100-continue" for value in head.values(b"expect")):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await recorder.read(head)
        request = recorder.record(head, connection)
        self._record(request)
        if not request.complete:
            return False
        if isinstance(answer, WebSocketReply):
            await self._serve_websocket(request, answer, streams)
            return False
        reply = answer if isinstance(answer, Reply) else answer(request)
        return await self._send_reply(streams, head, reply) and head.keep_alive

    def _record(self, request: RecordedRequest) -> None:
        with self._lock:
            self._recorded.append(request)

    async def _serve_websocket(self, request: RecordedRequest, reply: WebSocketReply, streams: Streams) -> None:
        assert self._thread is not None
        opened = UpstreamWebSocket(request, reply, streams, self._thread)
        with self._lock:
            self._sockets.append(opened)
        await opened.serve()

    async def _send_reply(self, streams: Streams, head: Head, reply: Reply) -> bool:
        """Send a reply while watching for the client going away; True if the connection may go on."""
        reader, writer = streams
        if reply.stream is None and reply.size is None and not reply.delay:
            return await _write_reply(writer, head, reply)
        sending = asyncio.create_task(_write_reply(writer, head, reply))
        leaving = asyncio.create_task(reader.ended.wait())
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and not isinstance(sending.exception(), ConnectionError):
                return sending.result()
            self.aborted.append(head.target.decode("latin-1"))
            return False
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)


async def _write_reply(writer: asyncio.StreamWriter, head: Head, reply: Reply) -> bool:
    await pause(reply.delay)
    if reply.raw is not None:
        writer.write(reply.raw)
        await writer.drain()
        return not reply.close
    body, length = prepare(reply)
    opening = write_head(reply, length)
    if head.method == "HEAD" or (body and not reply.chunked and reply.close_after is None):
        writer.write(opening if head.method == "HEAD" else opening + body)
        await writer.drain()
        return not reply.close
    writer.write(opening)
    left = reply.close_after
    async for part in body_parts(reply, body):
        cut = part if left is None else part[:left]
        left = None if left is None else left - len(cut)
        if cut:
            writer.write(b"%x\r\n%s\r\n" % (len(cut), cut) if reply.chunked else cut)
        await writer.drain()
        if left == 0:
            break
    if reply.close_after is not None:
        _cut(writer, reset=reply.reset)
        return False
    if reply.chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return not reply.close and (length is not None or reply.chunked)


def _cut(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        raw_socket: socket.socket = writer.get_extra_info("socket")
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
