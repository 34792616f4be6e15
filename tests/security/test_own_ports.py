"""The default port of a scheme makes no difference in Host, Origin, Referer and the request target."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.raw import RawAnswer, exchange, handshake, websocket_status


@pytest.fixture
def door(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    """A door whose public URL names no port, as behind a proxy that listens on port 80."""
    routes = [
        api_route(upstream, id="public", path="/public/", auth="public"),
        api_route(upstream, id="shared", path="/shared/", auth="public", cors_origins=["http://other.example:80"]),
        page_route(upstream, auth="public", kind="page"),
    ]
    return build_house(routes=routes, server={"public_url": "http://localhost", "internal_hosts": []})


def port_of(door: House) -> int:
    return door.door.port


def ask(door: House, target: str, *lines: str) -> RawAnswer:
    head = "\r\n".join((f"GET {target} HTTP/1.1", *lines, "Connection: close"))
    return RawAnswer.parse(exchange(port_of(door), f"{head}\r\n\r\n".encode("ascii")))


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "LOCALHOST:80"])
def test_px_9_a_host_header_may_have_the_default_port_of_the_scheme(door: House, host: str) -> None:
    assert ask(door, "/public/x", f"Host: {host}").status == 200
    assert door.upstream.last.values("x-forwarded-host") == ["localhost"]


@pytest.mark.parametrize("host", ["localhost:443", "localhost:8080", "localhost:080", "localhost:", "other:80"])
def test_px_9_a_host_header_with_another_port_or_name_is_refused(door: House, host: str) -> None:
    assert ask(door, "/public/x", f"Host: {host}").status in (400, 421)
    assert door.upstream.requests == []


@pytest.mark.parametrize("target", ["http://localhost/public/x", "http://localhost:80/public/x"])
@pytest.mark.parametrize("host", ["localhost", "localhost:80"])
def test_px_9_an_absolute_target_may_have_the_default_port(door: House, target: str, host: str) -> None:
    assert ask(door, target, f"Host: {host}").status == 200


@pytest.mark.parametrize("target", ["http://localhost:443/public/x", "https://localhost:80/public/x"])
def test_px_9_an_absolute_target_with_another_port_is_refused(door: House, target: str) -> None:
    assert ask(door, target, "Host: localhost").status == 400


def test_cs_4_an_allowed_origin_may_be_configured_with_the_default_port(door: House) -> None:
    answer = ask(door, "/shared/x", "Host: localhost", "Origin: http://other.example")
    assert ("access-control-allow-origin", "http://other.example") in answer.headers


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", 101), ("http://localhost:80", 101), ("https://localhost", 403), ("http://localhost:81", 403)],
)
def test_ws_1_the_origin_of_a_socket_may_have_the_default_port(door: House, origin: str, status: int) -> None:
    assert websocket_status(port_of(door), handshake("/socket", "localhost", origin=origin)) == status
