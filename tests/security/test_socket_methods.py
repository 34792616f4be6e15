"""PX-12: a route's `methods` hold for WebSocket handshakes too, which are GET requests (RFC 6455 section 4.1)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.raw import handshake, websocket_status

METHODS = {"reads": ["GET"], "reads-in-small-letters": ["get", "post"], "all": [], "writes": ["POST", "PUT"]}
OTHERS = {"heads": ["HEAD"], "options": ["OPTIONS"]}


@pytest.fixture
def house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    every = METHODS | OTHERS
    routes = [page_route(upstream, id=name, path=f"/{name}", methods=methods) for name, methods in every.items()]
    local = "asgi:tests.security.loud:app"
    for name, methods in every.items():
        routes.append(api_route(local, id=f"in-{name}", path=f"/in-{name}", methods=methods, auth="public"))
    return build_house(routes=routes)


@pytest.mark.parametrize("name", [*METHODS, *OTHERS])
@pytest.mark.parametrize("kind", ["network", "in-process"])
def test_px_12_a_socket_opens_only_where_get_is_allowed(house: House, name: str, kind: str) -> None:
    cookie = house.session_cookie(house.sign_in())
    path = f"/{name}/ws" if kind == "network" else f"/in-{name}/ws"
    status = websocket_status(house.door.port, handshake(path, house.host, cookie=cookie))
    assert status == (405 if name == "writes" or name in OTHERS else 101)
    assert len(house.upstream.websockets) == (1 if status == 101 and kind == "network" else 0)


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_px_12_a_handshake_with_another_method_opens_no_socket(house: House, method: str) -> None:
    cookie = house.session_cookie(house.sign_in())
    request = handshake("/all/ws", house.host, cookie=cookie).replace(b"GET ", method.encode() + b" ", 1)
    assert websocket_status(house.door.port, request) != 101
    assert house.upstream.websockets == []
