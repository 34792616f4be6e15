"""What pages send by themselves does not keep a session alive (SL-2): quiet paths, and Engine.IO's own traffic."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.fakes import CookieClient, FakeClock, RecordingUpstream
from tests.front_door import page_route
from tests.security.house import House
from tests.security.raw import handshake, open_websocket, read_close
from tests.security.session_calls import api

SESSION = {"idle_seconds": 600, "absolute_seconds": 3600}
SOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture
def house(timed_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    quiet = ["/api/kernels", "/api/sessions/", "/quiet-socket"]
    routes = [
        page_route(upstream, quiet_paths=quiet),
        page_route(upstream, id="jupyter", path="/jupyter/", quiet_paths=quiet, strip_prefix=True),
        page_route(upstream, id="loud", path="/loud/"),
    ]
    return timed_house(session=SESSION, routes=routes)


def is_alive_after(
    house: House, browser: CookieClient, clock: FakeClock, act: Callable[[], object], *, times: int = 5
) -> bool:
    """True if the session lives longer than its idle time when `act` is done five times meanwhile."""
    for _ in range(times):
        clock.advance(110)
        act()
    clock.advance(60)
    return bool(api(house, browser, "/page").status_code == 200)


@pytest.mark.parametrize(
    ("path", "is_use"),
    [
        ("/api/kernels", False),
        ("/api/kernels?since=3", False),
        ("/api/kernels/", False),
        ("/api/kernels/7/channels", False),
        ("/api/sessions", False),
        ("/jupyter/api/kernels", False),
        ("/api/kernelspecs", True),
        ("/other/api/kernels", True),
        ("/loud/api/kernels", True),
        ("/API/kernels", True),
    ],
)
def test_sl_2_requests_at_and_below_a_quiet_path_do_not_slide(
    house: House, clock: FakeClock, path: str, *, is_use: bool
) -> None:
    browser = house.sign_in()
    assert is_alive_after(house, browser, clock, lambda: browser.fetch(house.url + path)) is is_use


@pytest.mark.parametrize(
    ("method", "query", "body", "is_use"),
    [
        ("GET", "EIO=4&transport=polling&t=x&sid=a", None, False),
        ("POST", "EIO=4&transport=polling&sid=a", b"3", False),
        ("POST", "EIO=3&transport=polling&sid=a", b"1:2", False),
        ("POST", "EIO=4&transport=polling&sid=a", b'42["click"]', True),
        ("POST", "EIO=4&transport=polling&sid=a", b'451-["draw",{"_placeholder":true,"num":0}]\x1ebAAEC', True),
        ("POST", "EIO=3&transport=polling&sid=a", b"\x01\x04\xff\x04\x00\x01\x02", True),
        ("GET", "transport=polling", None, True),
    ],
    ids=[
        "poll",
        "pong",
        "ping of version 3",
        "message",
        "message with bytes",
        "bytes of version 3",
        "poll of another library",
    ],
)
def test_sl_2_engine_io_polls_do_not_slide_and_its_messages_do(
    house: House, clock: FakeClock, method: str, query: str, body: bytes | None, *, is_use: bool
) -> None:
    browser = house.sign_in()
    address = f"{house.url}/socket.io/?{query}"
    call = lambda: browser.fetch(address, method=method, content=body)  # noqa: E731  # said once
    assert is_alive_after(house, browser, clock, call) is is_use


def say(client: socket.socket, text: bytes) -> None:
    """Send a short text with a mask of zeros, and wait for its echo."""
    client.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
    received = b""
    while not received.endswith(text):
        received += client.recv(4096)


@pytest.mark.parametrize(
    ("path", "text", "is_use"),
    [
        (SOCKET, b"3", False),
        (SOCKET, b"2", False),
        (SOCKET, b"2probe", False),
        (SOCKET, b'42["click"]', True),
        ("/socket.io/", b"3", True),
        ("/quiet-socket", b"words", False),
        ("/api/kernels/7/channels", b"run this cell", True),
    ],
    ids=[
        "pong",
        "ping of version 3",
        "probe",
        "message",
        "the same text in another protocol",
        "socket at a quiet path",
        "socket below a quiet path",
    ],
)
def test_sl_2_only_messages_that_a_person_can_have_caused_slide(
    house: House, clock: FakeClock, path: str, text: bytes, *, is_use: bool
) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    answer, client = open_websocket(house.door.port, handshake(path, house.host, cookie=cookie))
    assert answer.status == 101
    with client:
        assert is_alive_after(house, browser, clock, lambda: say(client, text)) is is_use
        if not is_use:
            client.settimeout(5)
            assert read_close(client) == (4401, "expired")


@pytest.mark.parametrize("data", [bytes(range(120)), b"\x04\x00\x01", b"3", bytes(3)], ids=repr)
def test_sl_2_binary_frames_of_engine_io_are_messages_and_pass_unchanged(
    house: House, clock: FakeClock, data: bytes
) -> None:
    """Its own packets are text."""
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    answer, client = open_websocket(house.door.port, handshake(SOCKET, house.host, cookie=cookie))
    assert answer.status == 101
    frame = bytes([0x82, 0x80 | len(data)]) + bytes(4) + data

    def send() -> None:
        client.sendall(frame)
        received = b""
        while not received.endswith(data):
            received += client.recv(4096)
        assert received == bytes([0x82, len(data)]) + data

    with client:
        assert is_alive_after(house, browser, clock, send)


def test_sl_2_an_engine_io_handshake_does_not_slide(house: House, clock: FakeClock) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)

    def reconnect() -> None:
        answer, client = open_websocket(house.door.port, handshake(SOCKET, house.host, cookie=cookie))
        client.close()
        assert answer.status == 101

    assert not is_alive_after(house, browser, clock, reconnect)
