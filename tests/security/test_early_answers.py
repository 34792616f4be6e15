"""PX-7: an answer that comes before the body is the last on its connection. Nothing after it is read as a request."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.management.app import create_management_app
from gateway.serving import gentle_transport
from gateway.serving.server import build_server, wait_until_started
from tests.fakes import FakeProvider, RecordingUpstream, bind_socket
from tests.front_door import api_route
from tests.ports import free_port
from tests.security.house import House, attack_routes, open_house
from tests.security.raw import SAME_ORIGIN, RawAnswer, connect, count_answers, handshake, read_all

OTHER_SITE = "https://pages.example"


@pytest.fixture(scope="module")
def early_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    """A house with a route for each answer that needs no body."""
    routes = [
        *attack_routes(shared_upstream),
        api_route(shared_upstream, id="read", path="/read/", methods=["GET"]),
        api_route(shared_upstream, id="cors", path="/cors/", cors_origins=[OTHER_SITE]),
        api_route(shared_upstream, id="small", path="/small/", auth="public", max_body_bytes=10),
        api_route(f"http://127.0.0.1:{free_port()}", id="away", path="/away/", auth="public"),
        api_route("asgi:tests.security.test_early_answers:answer_at_once", id="inner", path="/inner/", auth="public"),
    ]
    with open_house(shared_provider, shared_upstream, routes=routes, server={"public_health": True}) as opened:
        yield opened


async def answer_at_once(scope: Any, receive: Any, send: Any) -> None:
    """An application in the door's process that never reads a body."""
    if scope["type"] != "http":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def house(early_house: House, upstream: RecordingUpstream) -> House:
    upstream.respond("/public/hasty", status=413, body="no", before_body=True, close=True)
    return early_house


@pytest.fixture
def victim(house: House) -> str:
    """The session cookie of the person whose request follows on the same connection."""
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    return cookie


@dataclass(frozen=True)
class Early:
    """A request that is answered without its body; `lines` are its headers besides Host and framing."""

    status: int
    line: str
    lines: tuple[str, ...] = ()
    is_signed_in: bool = False


EARLY = {
    "401 for an API": Early(401, "POST /api/x"),
    "302 to the sign-in": Early(302, "GET /page", ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")),
    "401 below /auth": Early(401, "GET /auth/session"),
    "403 for a request from another site": Early(403, "POST /api/x", ("Sec-Fetch-Site: cross-site",), True),
    "403 without a role": Early(403, "POST /domain/x", (SAME_ORIGIN,), True),
    "404 below /auth": Early(404, "POST /auth/nothing"),
    "400 for an ambiguous path": Early(400, "POST /api/%2e%2e/x"),
    "405 of a route": Early(405, "POST /read/x"),
    "405 below /auth": Early(405, "PUT /auth/login"),
    "413 for an announced length": Early(413, "POST /small/x"),
    "417 for another expectation": Early(417, "POST /public/x", ("Expect: 200-ok",)),
    "421 for another host": Early(421, "POST /public/x", ("Host: elsewhere.example",)),
    "502 for an upstream that is away": Early(502, "GET /away/x"),
    "302 of the sign-in": Early(302, "GET /auth/login"),
    "200 of the health check": Early(200, "POST /healthz"),
    "204 to a preflight": Early(
        204, "OPTIONS /cors/x", (f"Origin: {OTHER_SITE}", "Access-Control-Request-Method: POST")
    ),
    "413 of the upstream": Early(413, "POST /public/hasty"),
    "200 of an application in this process": Early(200, "POST /inner/x"),
}
SENT = {
    "expecting": b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n",
    "expecting chunks": b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    "begun": b"Content-Length: %d\r\n\r\n",
    "begun in chunks": b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
}
"""What a client has sent of its request when it gets its answer; the rest follows, or does not."""


def carrier(house: House, victim: str) -> tuple[bytes, bytes]:
    """Head and body of an innocent person's request, whose body somebody else wrote."""
    hidden = house.request("/api/smuggled", SAME_ORIGIN, cookie=victim)
    # For a reader that still reads chunks, and has read the head as one of them.
    body = b"\r\n0\r\n\r\n" + hidden
    head = house.request("/public/carrier", f"Content-Length: {len(body)}", method="POST", cookie=victim)
    return head.replace(b"Connection: close\r\n", b""), body


def opening(house: House, early: Early, victim: str, sent: str, *, swallows: int) -> bytes:
    """The request up to where its client waits; its body would be as long as `swallows` bytes more."""
    lines = [f"{early.line} HTTP/1.1", *early.lines]
    if not any(line.startswith("Host:") for line in lines):
        lines.insert(1, f"Host: {house.host}")
    if early.is_signed_in:
        lines.append(f"Cookie: vestibule={victim}")
    framing = SENT[sent]
    if early.status == 417:
        framing = framing.removeprefix(b"Expect: 100-continue\r\n")
    framing = framing % swallows if b"%d" in framing else framing + b"%x\r\n" % swallows
    return "\r\n".join(lines).encode() + b"\r\n" + framing


def read_final(client: socket.socket) -> bytes:
    """The final answer as far as the end of its head, with what was read behind it; 100 is passed over."""
    received = b""
    while b"\r\n\r\n" not in received or received.startswith(b"HTTP/1.1 100"):
        chunk = client.recv(65_536)
        if not chunk:
            break
        received = (received + chunk).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    return received


@pytest.mark.parametrize(
    ("case", "sent"),
    [(case, sent) for case in EARLY for sent in SENT if "announced" not in case or "chunks" not in sent],
)
def test_px_7_bytes_after_an_answer_without_the_request_body_are_not_read_as_a_request(
    house: House, victim: str, case: str, sent: str
) -> None:
    head, body = carrier(house, victim)
    first = opening(house, EARLY[case], victim, sent, swallows=len(head))
    with connect(house.door.port) as client:
        client.sendall(first)
        answer = read_final(client)
        with suppress(ConnectionError):
            client.sendall(head + body)
        answer += read_all(client)
    parsed = RawAnswer.parse(answer)
    assert parsed.status == EARLY[case].status, answer[:300]
    time.sleep(0.05)
    assert [seen.path for seen in house.upstream.requests if "hasty" not in seen.path] == []
    assert house.upstream.malformed == []
    assert count_answers(answer) == 1
    assert "close" in parsed.header("connection").lower()


@pytest.mark.parametrize("case", EARLY)
def test_px_7_the_answer_arrives_completely_and_the_connection_closes_when_the_body_never_comes(
    house: House, victim: str, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gentle_transport, "LINGER_SECONDS", 60)
    first = opening(house, EARLY[case], victim, "expecting", swallows=1000)
    started = time.monotonic()
    with connect(house.door.port) as client:
        client.sendall(first)
        answer = read_final(client)
        answer += read_all(client)
    assert RawAnswer.parse(answer).status == EARLY[case].status
    assert time.monotonic() - started < 20, "the client was left to wait for the end"


@pytest.mark.parametrize("case", [case for case in EARLY if EARLY[case].status not in (413, 417)])
def test_px_7_the_connection_stays_open_after_a_request_with_a_complete_body(
    house: House, victim: str, case: str
) -> None:
    """The control: a connection is closed only if something is unread."""
    first = opening(house, EARLY[case], victim, "begun", swallows=3) + b"abc"
    with connect(house.door.port) as client:
        client.sendall(first)
        answer = RawAnswer.parse(read_final(client))
        client.sendall(house.request("/public/next"))
        assert b"HTTP/1.1 200" in read_all(client)
    assert answer.status == EARLY[case].status
    assert "close" not in answer.header("connection").lower()
    assert house.upstream.last.path == "/public/next"


def test_px_7_the_list_of_applications_follows_the_rule_for_early_answers(
    provider: FakeProvider, upstream: RecordingUpstream, build_house: Callable[..., House]
) -> None:
    """Without a route at `/` the door itself answers there."""
    house = build_house(routes=[api_route(upstream, id="public", path="/public", auth="public", strip_prefix=False)])
    cookie = house.session_cookie(house.sign_in())
    head, body = carrier(house, cookie)
    first = house.request("/", "Expect: 100-continue", f"Content-Length: {len(head)}", cookie=cookie)
    with connect(house.door.port) as client:
        client.sendall(first.replace(b"Connection: close\r\n", b""))
        answer = read_final(client)
        client.sendall(head + body)
        answer += read_all(client)
    assert RawAnswer.parse(answer).status == 200
    assert RawAnswer.parse(answer).header("connection") == "close"
    assert count_answers(answer) == 1
    assert house.upstream.requests == []


@pytest.mark.parametrize(
    ("line", "status"),
    [("POST /healthz", 200), ("POST /readyz", 200), ("POST /admin/revoke", 401), ("POST /nothing", 404)],
)
def test_px_7_the_management_listener_follows_the_rule_for_early_answers(house: House, line: str, status: int) -> None:
    server = build_server(create_management_app(house.door.app), house.door.settings, lifespan="off", tls=False)
    listener = bind_socket("127.0.0.1", 0)

    async def start() -> asyncio.Task[None]:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await wait_until_started(server, serving)
        return serving

    async def stop(serving: asyncio.Task[None]) -> None:
        server.should_exit = True
        await serving

    serving = house.door.do(start())
    try:
        with connect(listener.getsockname()[1]) as client:
            client.sendall(f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc".encode())
            answer = read_final(client)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
            answer += read_all(client)
    finally:
        house.door.do(stop(serving))
        listener.close()
    assert RawAnswer.parse(answer).status == status
    assert RawAnswer.parse(answer).header("connection") == "close"
    assert count_answers(answer) == 1


@pytest.mark.parametrize("behind", [b"GET /public/smuggled HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 200])
@pytest.mark.parametrize(("cookie", "origin", "status"), [("", "", 401), ("victim", "https://evil.example", 403)])
def test_px_7_bytes_after_a_refused_handshake_are_not_read_as_a_request_by_the_front_door(
    house: House, victim: str, cookie: str, origin: str, status: int, behind: bytes
) -> None:
    opened = handshake("/api/socket", house.host, origin=origin, cookie=victim if cookie else "")
    with connect(house.door.port) as client:
        client.sendall(opened)
        answer = read_final(client)
        with suppress(ConnectionError):
            client.sendall(behind)
        answer += read_all(client)
    assert RawAnswer.parse(answer).status == status
    assert count_answers(answer) == 1
    assert house.upstream.requests == []


def test_px_7_each_of_many_refused_uploads_gets_its_answer(house: House) -> None:
    """Clients that send everything before they read: no answer is lost because of a reset."""
    body = b"a" * 400_000
    request = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    answers = [RawAnswer.parse(house.raw(request)) for _ in range(20)]
    assert [answer.status for answer in answers] == [401] * 20
