"""DS-7: a route with several upstreams goes on with the others while one is down."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gateway.management.app import probe_parts
from gateway.upstream.place import Place
from tests.fakes import HANG, RecordingUpstream
from tests.front_door import api_route, page_route
from tests.ports import free_port
from tests.security.certificates import make_authority
from tests.security.house import House
from tests.security.page_places import SAME_ORIGIN, STREAM, routes
from tests.security.raw import RawAnswer, connect, handshake, open_websocket

Build = Callable[..., House]


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that neither accepts nor refuses connections: its queue is full."""
    with ExitStack() as opened:
        server = opened.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = opened.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        time.sleep(0.05)
        yield server.getsockname()[1]


@pytest.fixture(params=["refused", "no such socket", "no such host", "time-out", "no TLS", "a stranger's certificate"])
def dead(request: pytest.FixtureRequest, tmp_path: Path, stack: ExitStack) -> str:
    """The address of an upstream that cannot be dialled."""
    match request.param:
        case "refused":
            return f"http://127.0.0.1:{free_port()}"
        case "no such socket":
            return f"unix:{tmp_path}/app.sock"
        case "no such host":
            return f"http://{'x' * 64}.invalid"
        case "time-out":
            return f"http://127.0.0.1:{stack.enter_context(silent_port())}"
        case "no TLS":
            return "https" + stack.enter_context(RecordingUpstream()).url.removeprefix("http")
        case _:
            certificate = make_authority(tmp_path).issue("127.0.0.1")
            return stack.enter_context(RecordingUpstream(tls=certificate)).url


def events(house: House, name: str, route: str = "") -> list[Any]:
    lines = [line for line in house.audit if line["event"] == name]
    return [line for line in lines if not route or line["route"] == route]


def cookie_of_one_who_belongs_to(house: House, target: str) -> str:
    """The session cookie of somebody whose page belongs to the upstream `target`."""
    while True:
        browser = house.sign_in()
        place = Place(house.session_of(browser).name)
        if house.door.app.upstreams["dashboards"].first_choice(place).name == target:
            return house.session_cookie(browser)


BODY = b"x" * 300_000
CHUNKED = b"493e0\r\n" + BODY + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize("path", ["/api/x", "/page"])
def test_ds_7_a_failed_dial_goes_on_to_another_upstream(
    build_house: Build, upstream: RecordingUpstream, dead: str, path: str
) -> None:
    house = build_house(routes=routes(dead, upstream.url))
    cookie = cookie_of_one_who_belongs_to(house, dead)
    route = "api" if path == "/api/x" else "dashboards"
    upstream.clear()
    for _ in range(3):
        assert house.get_raw(path, SAME_ORIGIN, cookie=cookie).status == 200
        for framing in ("Content-Length: 300000", "Transfer-Encoding: chunked"):
            head = house.request(path, SAME_ORIGIN, f"Origin: {house.url}", framing, method="POST", cookie=cookie)
            answer = RawAnswer.parse(house.raw(head + (CHUNKED if "chunked" in framing else BODY)))
            assert answer.status == 200
    posted = [request for request in upstream.requests if request.method == "POST"]
    assert [request.body_size for request in posted] == [len(BODY)] * 6
    assert len(upstream.requests) == 9
    (down,) = events(house, "upstream_down", route)
    assert down["reason"] in ("upstream_connect", "upstream_timeout")
    assert down["detail"].startswith(dead)
    assert events(house, "upstream_failed") == []


@pytest.mark.parametrize("path", ["/api/ws", STREAM])
def test_ds_7_a_socket_goes_on_to_another_upstream(
    build_house: Build, upstream: RecordingUpstream, dead: str, path: str
) -> None:
    house = build_house(routes=routes(dead, upstream.url))
    cookie = cookie_of_one_who_belongs_to(house, dead)
    for _ in range(3):
        answer, client = open_websocket(house.door.port, handshake(path, house.host, cookie=cookie))
        assert answer.status == 101
        client.sendall(b"\x81\x82\0\0\0\0hi")
        assert client.recv(4) == b"\x81\x02hi"
        client.close()
    assert len(events(house, "upstream_down", "api" if path == "/api/ws" else "dashboards")) == 1


def test_ds_7_what_has_been_sent_is_sent_to_nobody_else(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    """An upstream that gets a request and closes the connection may have carried the request out."""
    other = stack.enter_context(RecordingUpstream())
    for each in (upstream, other):
        each.respond("/x", raw=b"", close=True)
    house = build_house(routes=routes(upstream.url, other.url))
    cookie = house.session_cookie(house.sign_in())
    for method in ("POST", "PUT", "DELETE"):
        before = len(upstream.requests) + len(other.requests)
        answer = house.get_raw("/api/x", SAME_ORIGIN, f"Origin: {house.url}", method=method, cookie=cookie)
        assert answer.status == 502
        assert len(upstream.requests) + len(other.requests) == before + 1
    assert events(house, "upstream_down") == []


@pytest.mark.parametrize(
    ("port", "status", "code"), [("refusing", 502, "upstream_connect"), ("silent", 504, "upstream_timeout")]
)
@pytest.mark.parametrize("path", ["/api/x", "/page"])
def test_ds_7_with_all_upstreams_down_the_answer_says_why(
    build_house: Build, stack: ExitStack, port: str, status: int, code: str, path: str
) -> None:
    dead = [stack.enter_context(silent_port()) if port == "silent" else free_port() for _ in range(2)]
    house = build_house(routes=routes(*(f"http://127.0.0.1:{each}" for each in dead)))
    cookie = house.session_cookie(house.sign_in())
    for _ in range(3):
        answer = house.get_raw(path, SAME_ORIGIN, cookie=cookie)
        assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    request = handshake("/api/ws" if path == "/api/x" else STREAM, house.host, cookie=cookie)
    answer, client = open_websocket(house.door.port, request)
    client.close()
    assert answer.status == status
    assert len(events(house, "upstream_down", "api" if path == "/api/x" else "dashboards")) == 2
    assert {line["reason"] for line in events(house, "upstream_failed")} == {code}


def test_ds_7_an_upstream_that_is_back_is_used_again_and_says_so(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    port = free_port()
    house = build_house(routes=routes(f"http://127.0.0.1:{port}", upstream.url))
    cookie = house.session_cookie(house.sign_in())
    upstream.clear()
    for _ in range(4):
        assert house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status == 200
    assert len(upstream.requests) == 4
    back = stack.enter_context(RecordingUpstream(port=port))
    deadline = time.monotonic() + 5
    while not back.requests:
        assert time.monotonic() < deadline, "it was not tried again"
        assert house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status == 200
        time.sleep(0.05)
    for _ in range(10):
        assert house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status == 200
    assert len(back.requests) > 4
    (line,) = events(house, "upstream_back", "api")
    assert line["detail"].startswith(f"http://127.0.0.1:{port}: after ")


def test_ds_7_a_socket_alone_brings_an_upstream_back(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    port = free_port()
    house = build_house(routes=routes(f"http://127.0.0.1:{port}", upstream.url))
    request = handshake("/api/ws", house.host, cookie=house.session_cookie(house.sign_in()))
    while not events(house, "upstream_down", "api"):
        open_websocket(house.door.port, request)[1].close()
    back = stack.enter_context(RecordingUpstream(port=port))
    deadline = time.monotonic() + 5
    while not back.requests:
        assert time.monotonic() < deadline, "it was not tried again"
        open_websocket(house.door.port, request)[1].close()
        time.sleep(0.05)
    assert len(events(house, "upstream_back", "api")) == 1


def test_ds_7_one_upstream_that_comes_back_has_no_rest(build_house: Build, stack: ExitStack) -> None:
    port = free_port()
    house = build_house(routes=routes(f"http://127.0.0.1:{port}"))
    cookie = house.session_cookie(house.sign_in())
    assert [house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status for _ in range(3)] == [502] * 3
    stack.enter_context(RecordingUpstream(port=port))
    assert house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status == 200
    assert events(house, "upstream_down") == []


def test_ds_7_an_api_uses_the_upstream_with_the_fewest_connections(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    """Requests and sockets that are still open count."""
    other = stack.enter_context(RecordingUpstream())
    house = build_house(routes=routes(upstream.url, other.url))
    cookie = house.session_cookie(house.sign_in())
    upstream.clear()
    sockets = [open_websocket(house.door.port, handshake("/api/ws", house.host, cookie=cookie))[1] for _ in range(6)]
    assert (len(upstream.websockets_open), len(other.websockets_open)) == (3, 3)
    for held in upstream.websockets_open:
        held.close()
        held.wait_closed()
    time.sleep(0.2)
    for each in (upstream, other):
        each.respond("/slow", stream=[1.0, b"done"], chunked=True)
        each.clear()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: house.get_raw("/api/slow", SAME_ORIGIN, cookie=cookie), range(3)))
    assert (len(upstream.requests_to("/slow")), len(other.requests_to("/slow"))) == (3, 0)
    for client in sockets:
        client.close()


@contextmanager
def dials_without_tls() -> Iterator[tuple[str, list[None]]]:
    """An https:// address where no dial succeeds, and a list that grows with each dial."""
    dials: list[None] = []

    def refuse() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                dials.append(None)
                client.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=refuse, daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.getsockname()[1]}", dials
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("path", ["/api/x", "/page"])
def test_ds_7_an_upstream_that_rests_is_not_dialled(build_house: Build, upstream: RecordingUpstream, path: str) -> None:
    """Otherwise every request would wait for a dial that fails."""
    with dials_without_tls() as (dead, dials):
        house = build_house(routes=routes(dead, upstream.url))
        cookie = cookie_of_one_who_belongs_to(house, dead)
        while True:
            assert house.get_raw(path, SAME_ORIGIN, cookie=cookie).status == 200
            started, before = time.monotonic(), len(dials)
            for _ in range(4):
                assert house.get_raw(path, SAME_ORIGIN, cookie=cookie).status == 200
            if before and time.monotonic() - started < 0.45:  # the shortest rest is half a second
                assert len(dials) == before
                return


def test_ds_7_an_api_spreads_requests_that_come_one_after_another(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    other = stack.enter_context(RecordingUpstream())
    house = build_house(routes=routes(upstream.url, other.url))
    cookie = house.session_cookie(house.sign_in())
    for each in (upstream, other):
        each.clear()
    for _ in range(10):
        assert house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).status == 200
    assert (len(upstream.requests), len(other.requests)) == (5, 5)


def test_ds_7_readiness_counts_the_upstreams_of_a_route(build_house: Build, upstream: RecordingUpstream) -> None:
    dead = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    both = build_house(routes=routes(dead[0], upstream.url))
    assert both.door.do(probe_parts(both.door.app))["upstream:api"] == "1 of 2 answer"
    turned = build_house(routes=routes(upstream.url, dead[0]))
    assert turned.door.do(probe_parts(turned.door.app))["upstream:api"] == "1 of 2 answer"
    neither = build_house(routes=routes(*dead))
    assert neither.door.do(probe_parts(neither.door.app))["upstream:api"] == "does not answer"


def test_ds_7_an_upstream_that_never_answers_keeps_nobody_else_waiting(
    build_house: Build, upstream: RecordingUpstream, stack: ExitStack
) -> None:
    slow = stack.enter_context(RecordingUpstream())
    slow.respond("/x", stream=[HANG], chunked=True, delay=3600)
    house = build_house(routes=[api_route(slow, max_concurrency=20), page_route(upstream)])
    cookie = house.session_cookie(house.sign_in())
    waiting = []
    for _ in range(60):
        client = stack.enter_context(connect(house.door.port))
        client.sendall(house.request("/api/x", SAME_ORIGIN, cookie=cookie))
        waiting.append(client)
    slow.wait_for(lambda it: it.connections_open == 20)
    started = time.monotonic()
    for _ in range(10):
        assert house.get_raw("/page", SAME_ORIGIN, cookie=cookie).status == 200
    assert time.monotonic() - started < 2
    assert slow.connections_open == 20
