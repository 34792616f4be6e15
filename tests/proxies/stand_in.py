"""A small proxy that asks a front door as a certain product does, for products that a machine may not have.

What it sends, and what it does with the answer, comes from that product's source and from its file of `deploy/`: a
header that is missing in the file is missing here as well. Each connection carries one request.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from tests.proxies.deployed import FORWARD_AUTH, Places, adapt, addresses
from tests.repository import ROOT

TIMEOUT = 30
Headers = tuple[tuple[str, str], ...]
"""Names as they were sent."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: Headers
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        return [value for sent, value in self.headers if sent.lower() == name.lower()]

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    def without(self, *names: str) -> Request:
        dropped = {name.lower() for name in names}
        return replace(self, headers=tuple(line for line in self.headers if line[0].lower() not in dropped))

    def encoded(self) -> bytes:
        head = f"{self.method} {self.target} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in self.headers
        )
        return f"{head}\r\n".encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Headers = ()
    body: bytes = b""

    def encoded(self) -> bytes:
        kept = [line for line in self.headers if line[0].lower() not in ("content-length", "connection")]
        lines = "".join(f"{name}: {value}\r\n" for name, value in kept)
        head = f"HTTP/1.1 {self.status} Answer\r\n{lines}Content-Length: {len(self.body)}\r\nConnection: close\r\n\r\n"
        return head.encode("latin-1") + self.body


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent to the forward-auth listener at `port`, and how many seconds its answer may take."""

    port: int
    request: Request
    seconds: float


class Product(Protocol):
    """What one product does. It knows its file of `deploy/` from the start."""

    def received(self, request: Request, *, client: str) -> Request | Answer:
        """The request as routes and questions see it, or the product's own refusal."""

    def place_of(self, request: Request) -> tuple[int, bool] | Answer:
        """The port that a request goes to, and whether the product asks about it."""

    def question(self, request: Request, *, client: str) -> Question:
        """What it asks the forward-auth listener."""

    def answered(self, request: Request, answer: Answer | None) -> Request | Answer:
        """What goes to the application, or what the client gets. Without an answer the listener failed."""

    def sent_on(self, request: Request) -> Request:
        """The request as the application gets it."""


@contextmanager
def running_stand_in(product: Product, places: Places) -> Iterator[None]:
    """Serve https at `places.proxy` until the block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(places.certificate, places.key)
    listener = socket.create_server(("127.0.0.1", places.proxy))
    thread = threading.Thread(target=_accept, args=(listener, context, product), daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _accept(listener: socket.socket, context: ssl.SSLContext, product: Product) -> None:
    while True:
        try:
            plain, (client, _) = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(plain, context, product, client), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, product: Product, client: str) -> None:
    plain.settimeout(TIMEOUT)
    with suppress(OSError), plain, context.wrap_socket(plain, server_side=True) as connection:
        request = _read_request(connection)
        if request is None:
            return
        outcome = _decide(product, request, client)
        if isinstance(outcome, Answer):
            without_body = replace(outcome, body=b"") if request.method == "HEAD" else outcome
            connection.sendall(without_body.encoded())
            return
        port, onward = outcome
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as upstream:
            is_upgrade = bool(onward.values("upgrade"))
            upstream.sendall((onward if is_upgrade else _closing(onward)).encoded())
            if is_upgrade:
                threading.Thread(target=_pump, args=(connection, upstream), daemon=True).start()
            _pump(upstream, connection)


def _closing(request: Request) -> Request:
    rest = request.without("connection")
    return replace(rest, headers=(*rest.headers, ("Connection", "close")))


def _decide(product: Product, request: Request, client: str) -> tuple[int, Request] | Answer:
    seen = product.received(request, client=client)
    if isinstance(seen, Answer):
        return seen
    place = product.place_of(seen)
    if isinstance(place, Answer):
        return place
    port, is_asked = place
    if is_asked:
        outcome = product.answered(seen, _ask(product.question(seen, client=client)))
        if isinstance(outcome, Answer):
            return outcome
        seen = outcome
    return port, product.sent_on(seen)


def _ask(question: Question) -> Answer | None:
    try:
        with socket.create_connection(("127.0.0.1", question.port), timeout=question.seconds) as connection:
            connection.settimeout(question.seconds)
            connection.sendall(question.request.encoded())
            return _read_answer(connection)
    except OSError:
        return None


def _read_answer(connection: socket.socket) -> Answer | None:
    head, rest = _read_head(connection)
    if not head:
        return None
    first, *lines = head.split("\r\n")
    answer = Answer(int(first.split()[1]), _parsed(lines))
    length = next((int(value) for name, value in answer.headers if name.lower() == "content-length"), 0)
    return replace(answer, body=_read_body(connection, rest, length))


def _read_request(connection: socket.socket) -> Request | None:
    head, rest = _read_head(connection)
    parts, *lines = head.split("\r\n")
    if len(parts.split(" ")) != 3:
        connection.sendall(Answer(400).encoded())
        return None
    method, target, _ = parts.split(" ")
    request = Request(method, target, _parsed(lines))
    length = int((request.values("content-length") or ["0"])[0])
    return replace(request, body=_read_body(connection, rest, length))


def _read_head(connection: socket.socket) -> tuple[str, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        if not chunk:
            break
        received += chunk
    head, _, rest = received.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _read_body(connection: socket.socket, begun: bytes, length: int) -> bytes:
    body = bytearray(begun)
    while len(body) < length:
        chunk = connection.recv(65_536)
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _parsed(lines: list[str]) -> Headers:
    split = (line.partition(":") for line in lines)
    return tuple((name, value.strip()) for name, _, value in split)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            sink.sendall(chunk)


@dataclass(frozen=True, slots=True)
class StandIn:
    """Starts a stand-in for the proxy of `mode`, with its file of `deploy/` for a use."""

    mode: str
    changes: Callable[[Places, str], Mapping[str, str]]
    product: Callable[[str], Product]

    @contextmanager
    def start(
        self, places: Places, *, use: str = FORWARD_AUTH, more: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        file = ROOT / "deploy" / self.mode / f"{use}.yaml"
        text = adapt(file, {**self.changes(places, use), **addresses(places, use), **(more or {})})
        with running_stand_in(self.product(text), places):
            yield
