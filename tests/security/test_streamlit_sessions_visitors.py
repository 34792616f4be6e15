"""WS-6: sessions of visitors who are not signed in belong to their browser."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.front_door import page_route
from tests.security.house import House
from tests.security.raw import handshake, open_websocket

XSRF = {
    name: f"_streamlit_xsrf=2|aabbccdd|{2 * digit * 16}|1700000000" for name, digit in {"own": "1", "toss": "2"}.items()
}


def announced_to(house: House, session_id: str, *cookies: str) -> socket.socket:
    """A stranger's socket, with these XSRF cookies, on which the app has announced `session_id`."""
    line = f"Cookie: {'; '.join(cookies)}"
    request = handshake("/_stcore/stream", house.host, line, subprotocols=f"streamlit, x, {session_id}")
    answer, client = open_websocket(house.door.port, request)
    received = answer.received
    while session_id.encode() not in received:
        received += client.recv(256)
    return client


def upload_status(house: House, session_id: str, *cookies: str) -> int:
    lines = ["Sec-Fetch-Site: same-origin", *([f"Cookie: {'; '.join(cookies)}"] if cookies else [])]
    return house.get_raw(f"/_stcore/upload_file/{session_id}/f", *lines, method="PUT").status


@pytest.mark.parametrize("second", [XSRF["toss"], "_streamlit_xsrf=junk"], ids=["another token", "no token"])
def test_ws_6_a_cookie_from_a_neighbouring_host_does_not_remove_the_owner_of_a_visitors_session(
    build_house: Callable[..., House], second: str
) -> None:
    """A page of another host of the domain can set a second XSRF cookie here, whose token it knows."""
    house = build_house(routes=[page_route("asgi:tests.security.resuming:app", auth="optional")])
    copies = (XSRF["own"], second)
    announced_to(house, "strangers-session", *copies).close()
    assert upload_status(house, "strangers-session", *copies) == 204
    assert upload_status(house, "strangers-session", *copies[::-1]) == 204
    assert upload_status(house, "strangers-session") == 403
    assert upload_status(house, "strangers-session", XSRF["toss"]) == 403


def test_ws_6_a_visitor_keeps_a_session_when_a_cookie_from_a_neighbouring_host_arrives(
    build_house: Callable[..., House],
) -> None:
    house = build_house(routes=[page_route("asgi:tests.security.resuming:app", auth="optional")])
    announced_to(house, "session-of-before", XSRF["own"]).close()
    assert upload_status(house, "session-of-before", XSRF["toss"], XSRF["own"]) == 204
    announced_to(house, "session-of-before", XSRF["toss"], XSRF["own"]).close()
    assert upload_status(house, "session-of-before", XSRF["toss"]) == 403
