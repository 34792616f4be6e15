from __future__ import annotations

import copy
import datetime
import pickle
import socket
import threading
import time
from typing import Any

import numpy as np
import pytest
import streamlit as st
from pydantic import BaseModel
from streamlit.runtime.caching.cache_errors import UnhashableParamError

from streamlit_kit import (
    ApiClient,
    ApiError,
    ApiUnavailable,
    Forbidden,
    KitError,
    KitMisconfigured,
    LoginRequired,
    OutsidePage,
    prepare_client,
)
from streamlit_kit.client import _choose_route
from streamlit_kit.runtime import Kit, use_kit
from tests.fakes import HANG
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KIT_SECRET, LOGIN_URL, KitFrontDoor

CREDENTIAL = f"{CLIENT}:{KIT_SECRET}"


def test_a_call_carries_handle_and_kit_credential_and_no_token(door: KitFrontDoor, client: ApiClient) -> None:
    client.get("users/me", params={"full": "yes"})
    request = door.server.last
    assert (request.method, request.path, request.query) == ("GET", "/api/users/me", "full=yes")
    assert request.header("X-Vestibule-Kit") == CREDENTIAL
    assert request.header("X-Vestibule-Session") == HANDLE
    for name in ("Authorization", "Cookie", "X-Vestibule-Assertion"):
        assert request.header(name) is None


def test_an_anonymous_client_sends_no_handle(door: KitFrontDoor, kit: Kit) -> None:
    client = ApiClient(kit, None, route_path="/public/", login_url=LOGIN_URL)
    assert client.get("news").is_success
    assert door.server.last.header("X-Vestibule-Session") is None
    assert not client.is_authenticated
    assert client.identity is None


def test_an_anonymous_client_that_knows_no_route_asks_for_a_sign_in(kit: Kit) -> None:
    client = ApiClient(kit, None, route_path="", login_url=LOGIN_URL)
    with pytest.raises(LoginRequired) as caught:
        client.get("users/me")
    assert caught.value.login_url == LOGIN_URL


def test_a_client_without_routes_says_so(door: KitFrontDoor, kit: Kit) -> None:
    with pytest.raises(KitMisconfigured, match="routes"):
        door.client(kit, route_path="").get("users/me")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_each_method_is_there(door: KitFrontDoor, client: ApiClient, method: str) -> None:
    getattr(client, method)("things/1")
    assert door.server.last.method == method.upper()


def test_bodies_of_every_kind(door: KitFrontDoor, client: ApiClient) -> None:
    client.post("a", json={"depth": 12})
    assert door.server.last.json() == {"depth": 12}
    assert door.server.last.header("Content-Type") == "application/json"
    client.put("a", content=b"\x00\x01")
    assert door.server.last.body == b"\x00\x01"
    client.post("a", data={"x": "ä"})
    assert door.server.last.body == b"x=%C3%A4"
    client.post("a", files={"file": ("t.csv", b"1,2", "text/csv")})
    assert b'filename="t.csv"' in door.server.last.body
    client.post("a", content=(part for part in (b"one", b"two")))
    assert door.server.last.body == b"onetwo"


def test_json_takes_models_dates_and_arrays(door: KitFrontDoor, client: ApiClient) -> None:
    class Point(BaseModel):
        x: float
        day: datetime.date

    client.post(
        "a", json={"p": Point(x=1.5, day=datetime.date(2026, 1, 2)), "n": np.int64(3), "v": np.array([1.0, 2.0])}
    )
    assert door.server.last.json() == {"p": {"x": 1.5, "day": "2026-01-02"}, "n": 3, "v": [1.0, 2.0]}


@pytest.mark.parametrize("value", [float("nan"), {"x": float("inf")}, object(), np.array([np.nan])])
def test_what_json_cannot_hold_is_refused_before_anything_is_sent(
    door: KitFrontDoor, client: ApiClient, value: object
) -> None:
    with pytest.raises(ValueError, match=r"JSON|serialize"):
        client.post("a", json=value)
    assert not door.server.requests


@pytest.mark.parametrize(
    "options",
    [
        {"json": {}, "content": b""},
        {"json": {}, "files": {}},
        {"headers": {"Authorization": "Bearer x"}},
        {"headers": {"cookie": "a=b"}},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"x_vestibule_session": "other"}},
        {"headers": {"X-Vestibule-Kit": "other:x"}},
        {"headers": {"X-A": "a\r\nX-Evil: 1"}},
        {"headers": {"X-A\r\n": "a"}},
    ],
)
def test_what_would_speak_for_the_front_door_is_refused(
    door: KitFrontDoor, client: ApiClient, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"not both|is set by|cannot be sent"):
        client.post("a", **options)
    assert not door.server.requests


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "../auth/kit/token", "%2e%2e/x", "a\\b"])
def test_a_path_cannot_leave_the_route(door: KitFrontDoor, client: ApiClient, path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        client.get(path)
    assert not door.server.requests


def test_a_query_comes_from_one_place(client: ApiClient) -> None:
    with pytest.raises(ValueError, match="not both"):
        client.get("a?x=1", params={"y": "2"})


def test_an_answer_can_be_read_in_every_form(door: KitFrontDoor, client: ApiClient) -> None:
    headers = {"Content-Type": "application/json", "X-Request-ID": "request-12345"}
    door.server.respond("/api/a", headers=headers, body='{"name": "Käse"}')
    response = client.get("a")
    assert response.status_code == 200
    assert response.is_success
    assert response.json() == {"name": "Käse"}
    assert response.text == '{"name": "Käse"}'
    assert response.content == '{"name": "Käse"}'.encode()
    assert response.headers["content-type"] == "application/json"
    assert response.request_id == "request-12345"
    assert response.raise_for_status() is response


def test_other_refusals_are_answers_until_the_page_asks(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/a", 422, "validation_failed", **{"X-Request-ID": "request-12345"})
    response = client.post("a", json={})
    assert (response.status_code, response.is_success) == (422, False)
    with pytest.raises(ApiError) as caught:
        response.raise_for_status()
    error = caught.value
    assert (error.code, error.status, error.request_id) == ("validation_failed", 422, "request-12345")
    assert error.response is response


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(door: KitFrontDoor, client: ApiClient, status: int) -> None:
    door.server.respond("/api/a", status=status, headers={"Location": f"{door.url}/elsewhere"})
    response = client.get("a")
    assert response.status_code == status
    assert not door.server.requests_to("/elsewhere")
    with pytest.raises(ApiError):
        response.raise_for_status()


def test_the_end_of_the_session_asks_for_a_sign_in_and_is_remembered(door: KitFrontDoor, kit: Kit) -> None:
    session = door.session(kit)
    client = door.client(kit, session)
    door.problem("/api/a", 401, "session_ended", **{"X-Request-ID": "request-12345"})
    with pytest.raises(LoginRequired) as caught:
        client.get("a")
    assert (caught.value.code, caught.value.login_url) == ("session_ended", LOGIN_URL)
    assert caught.value.request_id == "request-12345"
    assert session.ended.is_set()


def test_a_refused_kit_credential_is_a_fault_of_the_set_up_and_no_end_of_a_session(
    door: KitFrontDoor, kit: Kit
) -> None:
    session = door.session(kit)
    door.problem("/api/a", 401, "kit_credential")
    with pytest.raises(KitMisconfigured, match="VESTIBULE_KIT__SECRET"):
        door.client(kit, session).get("a")
    assert not session.ended.is_set()


def test_a_401_of_the_api_itself_is_an_answer(door: KitFrontDoor, kit: Kit) -> None:
    session = door.session(kit)
    door.server.respond("/api/a", status=401, json={"detail": "token expired"})
    assert door.client(kit, session).get("a").status_code == 401
    assert not session.ended.is_set()


def test_a_403_is_forbidden_whoever_says_it(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/a", 403, "role_missing")
    door.server.respond("/api/b", status=403, body="no")
    with pytest.raises(Forbidden) as caught:
        client.get("a")
    assert caught.value.code == "role_missing"
    with pytest.raises(Forbidden) as caught:
        client.get("b")
    assert caught.value.code == "forbidden"


REASONS: list[tuple[object, str]] = [
    ({"detail": "Only the owner may."}, "Only the owner may."),
    (
        {"detail": {"error": "insufficient_scope", "error_description": "needs one of the roles: editor"}},
        "needs one of the roles: editor",
    ),
    ({"error_description": "not yours", "detail": "other"}, "not yours"),
    ({"detail": [{"loc": ["body"]}]}, ""),
    ({"detail": "x" * 201}, ""),
    ({"detail": "two\nlines"}, ""),
    ({"detail": Forbidden.default_message}, ""),
    ({"detail": "no role in eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"}, ""),
    ({"detail": "unknown key " + "k3" * 20}, ""),
    (
        {"detail": "run 123e4567-e89b-12d3-a456-426614174000 is another's"},
        "run 123e4567-e89b-12d3-a456-426614174000 is another's",
    ),
    ({"detail": {"detail": {"detail": "deep"}}}, ""),
    (["detail"], ""),
    ({}, ""),
]


@pytest.mark.parametrize(("body", "reason"), REASONS, ids=str)
def test_a_403_carries_the_reason_that_the_api_gives(
    door: KitFrontDoor, client: ApiClient, body: object, reason: str
) -> None:
    door.server.respond("/api/a", status=403, json=body)
    with pytest.raises(Forbidden) as caught:
        client.get("a")
    assert caught.value.reason == reason
    assert caught.value.message == Forbidden.default_message
    said = f" The service says: {reason}" if reason else ""
    assert str(caught.value) == Forbidden.default_message + said


@pytest.mark.parametrize("status", [502, 503, 504])
def test_an_outage_behind_the_front_door_is_one_error(door: KitFrontDoor, client: ApiClient, status: int) -> None:
    door.problem("/api/a", status, "store_unavailable", **{"Retry-After": "7", "X-Request-ID": "request-12345"})
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a")
    error = caught.value
    assert (error.code, error.status, error.retry_after, error.request_id) == (
        "store_unavailable",
        status,
        7,
        "request-12345",
    )


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "9" * 40, ""])
def test_a_strange_retry_after_becomes_the_usual_one(door: KitFrontDoor, client: ApiClient, value: str) -> None:
    door.server.respond("/api/a", status=503, headers={"Retry-After": value})
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a")
    assert caught.value.retry_after == 5


@pytest.mark.parametrize(("status", "media_type"), [(401, "problem+json"), (403, "problem+json"), (503, "json")])
def test_nothing_of_an_answer_gets_into_an_error(
    door: KitFrontDoor, client: ApiClient, status: int, media_type: str
) -> None:
    canary = "canary<script>"
    headers = {"Content-Type": f"application/{media_type}", "X-Request-ID": canary}
    code = "session_ended" if status == 401 else canary
    door.server.respond("/api/a", status=status, headers=headers, json={"title": canary, "code": code})
    with pytest.raises(KitError) as caught:
        client.get("a")
    error = caught.value
    assert canary not in f"{error}{error!r}{error.code}{error.request_id}{error.message}"


def test_a_front_door_that_is_not_there_is_unavailable(kit: Kit, door: KitFrontDoor, free_port: int) -> None:
    gone = door.kit(url=f"http://127.0.0.1:{free_port}")
    with pytest.raises(ApiUnavailable) as caught:
        door.client(gone, door.session(kit)).post("a", json={})
    assert caught.value.code == "unreachable"
    gone.http.close()


def test_a_front_door_that_is_silent_is_unavailable_in_time(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", delay=HANG)
    before = time.monotonic()
    with pytest.raises(ApiUnavailable) as caught:
        client.get("a", timeout=0.2)
    assert caught.value.code == "timeout"
    assert time.monotonic() - before < 20


def test_a_cut_answer_is_no_answer(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", body="x" * 1000, close_after=10)
    with pytest.raises(ApiUnavailable):
        client.get("a")


class ClosingServer:
    """Answers the first request of a connection with keep-alive and breaks the connection at the second."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self._answered = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                for _ in range(2):
                    head = connection.recv(65536)
                    if not head:
                        break
                    self.seen.append(head.partition(b" HTTP/")[0])
                    if len(self.seen) == 2:
                        break
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def stop(self) -> None:
        self._listener.close()


def test_a_get_on_a_broken_kept_alive_connection_is_sent_once_more(door: KitFrontDoor, kit: Kit) -> None:
    server = ClosingServer()
    there = door.kit(url=server.url)
    client = door.client(there, door.session(kit))
    assert client.get("a").text == "ok"
    assert client.get("b").text == "ok"
    assert server.seen == [b"GET /api/a", b"GET /api/b", b"GET /api/b"]
    there.http.close()
    server.stop()


def test_a_post_is_never_sent_twice(door: KitFrontDoor, kit: Kit) -> None:
    server = ClosingServer()
    there = door.kit(url=server.url)
    client = door.client(there, door.session(kit))
    client.get("a")
    with pytest.raises(ApiUnavailable):
        client.post("b", json={})
    assert server.seen == [b"GET /api/a", b"POST /api/b"]
    there.http.close()
    server.stop()


def test_a_get_on_a_new_connection_is_not_repeated(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", raw=b"", close=True)
    door.server.stop()
    door.server.start()
    with pytest.raises(ApiUnavailable):
        client.get("a")
    assert len(door.server.requests_to("/api/a")) == 1


def test_no_cookie_of_one_answer_goes_with_another_request(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", headers={"Set-Cookie": "sid=alice; Path=/"})
    client.get("a")
    client.get("b")
    assert door.server.last.header("Cookie") is None


def test_proxies_and_netrc_of_the_environment_are_ignored(
    door: KitFrontDoor, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port}")
    kit = door.kit()
    assert door.client(kit).get("a").is_success
    kit.http.close()


def test_a_stream_arrives_piece_by_piece(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", stream=[b"one\n", 0.3, b"two\n"], chunked=True)
    arrivals = []
    with client.stream("GET", "a") as stream:
        assert stream.status_code == 200
        for line in stream.iter_lines():
            arrivals.append((line, time.monotonic()))
    assert [line for line, _ in arrivals] == ["one", "two"]
    assert arrivals[1][1] - arrivals[0][1] > 0.15


def test_a_stream_has_the_same_errors(door: KitFrontDoor, client: ApiClient) -> None:
    door.problem("/api/over", 401, "session_ended")
    door.server.respond("/api/mine", status=401, json={"detail": "no"})
    door.server.respond("/api/cut", body="x" * 1000, close_after=10)
    with pytest.raises(LoginRequired), client.stream("GET", "over"):
        pass
    with client.stream("GET", "mine") as stream:
        assert stream.read().json() == {"detail": "no"}
    door.server.respond("/api/endless", status=401, stream=[b"no", HANG], chunked=True)
    with client.stream("GET", "endless", timeout=5) as stream:
        assert next(stream.iter_bytes()) == b"no"
    with client.stream("GET", "cut") as stream, pytest.raises(ApiUnavailable):
        list(stream.iter_bytes())


def test_a_stream_that_is_left_early_gives_its_connection_back(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", stream=[b"one", HANG], chunked=True)
    with client.stream("GET", "a") as stream:
        assert next(stream.iter_bytes()) == b"one"
    door.server.wait_for(lambda server: server.connections_open == 0)


def test_threads_may_use_a_client(door: KitFrontDoor, client: ApiClient) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: results.append(client.get(f"n/{number}").status_code))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 12
    assert {request.header("X-Vestibule-Session") for request in door.server.requests} == {HANDLE}


def test_a_client_cannot_be_cached_for_everybody(client: ApiClient) -> None:
    @st.cache_data
    def load(who: ApiClient) -> str:
        return repr(who)

    with pytest.raises(UnhashableParamError):
        load(client)
    with pytest.raises(TypeError, match="unhashable"):
        hash(client)
    for copying in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="belongs to one person"):
            copying(client)


def test_the_representation_shows_no_secret(client: ApiClient, kit: Kit) -> None:
    for text in (repr(client), str(client), repr(kit)):
        assert HANDLE not in text
        assert KIT_SECRET not in text
    assert "alice" in repr(client)


def test_the_only_route_needs_no_name() -> None:
    assert _choose_route({"api": "/api/"}, "", is_known=True) == "/api/"
    assert _choose_route({"api": "/api/", "other": "/o/"}, "other", is_known=True) == "/o/"
    assert _choose_route({}, "api", is_known=False) == ""
    assert _choose_route({}, "", is_known=True) == ""


def test_a_route_that_is_not_there_or_not_named_is_a_fault_that_lists_them() -> None:
    with pytest.raises(KitMisconfigured, match="api, other"):
        _choose_route({"api": "/api/", "other": "/o/"}, "", is_known=True)
    with pytest.raises(KitMisconfigured, match="it may call: api"):
        _choose_route({"api": "/api/"}, "wrong", is_known=True)


def test_outside_a_page_there_is_nobody_to_ask(kit: Kit) -> None:
    with use_kit(kit), pytest.raises(OutsidePage):
        prepare_client()


def test_without_configuration_it_says_what_to_do() -> None:
    with use_kit(None), pytest.raises(KitMisconfigured, match="vestibule dev"):
        prepare_client()
