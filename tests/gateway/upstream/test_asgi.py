"""An application in the gateway's own process."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from bff.errors import UpstreamFailed
from gateway.upstream.asgi import AsgiUpstream, load_application
from tests.gateway.upstream import inner
from tests.gateway.upstream.door import SNIPPET, Door, open_door, wait_until

INNER = "asgi:tests.gateway.upstream.inner:"


@pytest.fixture
def door() -> Iterator[Door]:
    inner.EVENTS.clear()
    with open_door(INNER + "app", max_body_bytes=1000, max_client_message=1000) as opened:
        yield opened


def dial(door: Door, path: str = "/s", **options: Any) -> ClientConnection:
    client: ClientConnection = connect(door.ws_url + path, proxy=None, compression=None, close_timeout=2, **options)
    return client


def test_the_application_is_started_once_and_stopped_at_the_end() -> None:
    inner.EVENTS.clear()
    with open_door(INNER + "app") as door:
        door.get("/page")
        assert inner.EVENTS == ["started"]
    assert inner.EVENTS == ["started", "stopped"]


def test_the_application_sees_the_rewritten_request(door: Door) -> None:
    door.app.extra_headers = [(b"x-auth-request-user", b"ada")]
    headers = {"X-Auth-Request-User": "mallory", "Cookie": "a=1; vestibule=s", "Connection": "X-Gone", "X-Gone": "1"}
    _, body = door.get("/show/a%20b?x=%2F", method="POST", body=b"data", headers=headers)
    seen = json.loads(body)
    assert (seen["method"], seen["path"], seen["raw_path"]) == ("POST", "/mounted/show/a b", "/mounted/show/a%20b")
    assert (seen["root_path"], seen["query"], seen["body"], seen["model"]) == ("/mounted", "x=%2F", "data", "ready")
    assert seen["extensions"] == []
    given = [tuple(pair) for pair in seen["headers"]]
    assert [value for name, value in given if name == "x-auth-request-user"] == ["ada"]
    assert [value for name, value in given if name == "cookie"] == ["a=1"]
    assert [value for name, value in given if name == "content-length"] == ["4"]
    assert not [name for name, _ in given if name in ("connection", "x-gone")]


def test_responses_of_an_application_are_streamed_and_their_headers_cleaned(door: Door) -> None:
    inner.HEARD_ONE.clear()
    client = door.client()
    client.request("GET", "/stream")
    response = client.getresponse()
    assert response.read(3) == b"one"
    inner.HEARD_ONE.set()
    assert response.read() == b"two"
    assert response.headers["x-accel-redirect"] is None
    assert response.headers["set-cookie"] is None
    client.close()


def test_pages_of_an_application_get_the_session_script(door: Door) -> None:
    assert door.get("/page")[1] == b"<html><head>" + SNIPPET + b"</head></html>"


def test_a_body_over_the_limit_gets_413(door: Door) -> None:
    assert door.get("/show/x", method="POST", body=b"x" * 1001)[0].status == 413
    assert door.get("/show/x", method="POST", body=iter([b"x" * 600, b"x" * 600]))[0].status == 413
    assert door.get("/show/x", method="POST", body=b"x" * 1000)[0].status == 200


def test_an_error_in_the_application_gives_500_before_the_answer_and_an_aborted_answer_after_it(door: Door) -> None:
    assert door.get("/fail")[0].status == 500
    with pytest.raises(http.client.IncompleteRead):
        door.get("/fail-late")
    assert door.app.results[-1].error is not None


def test_an_application_without_lifespan_works_and_a_missing_answer_gives_502() -> None:
    with open_door(INNER + "bare") as door:
        assert door.get("/x")[1] == b"ok"
        response, _ = door.get("/silent")
        assert (response.status, response.headers["x-code"]) == (502, "upstream_closed")


async def test_an_application_that_cannot_start_is_reported() -> None:
    with pytest.raises(UpstreamFailed):
        await AsgiUpstream(INNER + "broken_start").start()


@pytest.mark.parametrize("target", ["asgi:no.such.module:app", INNER + "missing", INNER + "not_callable", "asgi:"])
def test_an_application_that_cannot_be_imported_is_a_configuration_error(target: str) -> None:
    with pytest.raises(ValueError, match=r"asgi:"):
        load_application(target)


def test_websocket_messages_subprotocols_and_close_codes_are_passed_on(door: Door) -> None:
    with dial(door, subprotocols=["streamlit", "token"]) as client:
        assert client.subprotocol == "streamlit"
        client.send("hi")
        assert client.recv(timeout=5) == "hi"
        client.send(b"\x00")
        assert client.recv(timeout=5) == b"\x00"
        client.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "asked")
    assert "streamlit,token" in inner.EVENTS
    wait_until(lambda: bool(door.app.ends))
    assert (door.app.ends[0].by, door.app.ends[0].client_messages) == ("upstream", 3)


def test_the_application_notices_that_a_client_left(door: Door) -> None:
    with dial(door) as client:
        client.close(4001)
    wait_until(lambda: "left 4001" in inner.EVENTS)


def test_the_end_of_the_session_closes_the_socket_at_once(door: Door) -> None:
    with dial(door) as client:
        client.send("hi")
        client.recv(timeout=5)
        door.app.close_sockets(4401, "logout")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=2)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4401, "logout")
    wait_until(lambda: any(event.startswith("left") for event in inner.EVENTS))


@pytest.mark.parametrize(("message", "code"), [("x" * 1001, 1009), ("break", 1013)])
def test_a_message_that_is_too_large_and_an_error_in_the_application_close_the_socket(
    door: Door, message: str, code: int
) -> None:
    with dial(door) as client:
        client.send(message)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == code


def test_the_refusal_of_the_application_is_the_answer_to_the_handshake(door: Door) -> None:
    with pytest.raises(InvalidStatus) as caught:
        dial(door, "/refused")
    assert caught.value.response.status_code == 403
    wait_until(lambda: bool(door.app.ends))
    assert (door.app.ends[0].status, door.app.ends[0].code) == (403, 0)
