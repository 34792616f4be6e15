"""`ApiClient`: routes, paths, bodies and headers of calls, and what is refused before a call."""

from __future__ import annotations

import copy
import datetime
import pickle
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
    KitMisconfigured,
    LoginRequired,
    OutsidePage,
    prepare_client,
)
from streamlit_kit.client import _choose_route
from streamlit_kit.runtime import Kit, use_kit
from streamlit_kit.settings import KitSettings
from tests.fakes import HANG
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KIT_SECRET, LOGIN_URL, KitFrontDoor

SETTINGS = KitSettings(url="http://127.0.0.1:8000", client=CLIENT, secret=KIT_SECRET)
CREDENTIAL = f"{CLIENT}:{KIT_SECRET}"


def test_a_call_has_the_handle_and_the_kit_credential_and_no_token(door: KitFrontDoor, client: ApiClient) -> None:
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


def test_a_client_without_routes_and_without_a_person_asks_for_a_sign_in(kit: Kit) -> None:
    client = ApiClient(kit, None, route_path="", login_url=LOGIN_URL)
    with pytest.raises(LoginRequired) as caught:
        client.get("users/me")
    assert caught.value.login_url == LOGIN_URL


def test_a_client_without_routes_gives_a_clear_error(door: KitFrontDoor, kit: Kit) -> None:
    with pytest.raises(KitMisconfigured, match="routes"):
        door.client(kit, route_path="").get("users/me")


def test_the_error_for_a_page_without_routes_says_how_to_add_some(door: KitFrontDoor) -> None:
    words = "Start it with --api main:app"
    kit = door.kit(no_routes=words)
    with pytest.raises(KitMisconfigured, match=words):
        door.client(kit, route_path="").get("users/me")
    with pytest.raises(KitMisconfigured, match=words):
        _choose_route({}, "api", settings=kit.settings, is_known=True)
    kit.http.close()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_the_client_has_all_http_methods(door: KitFrontDoor, client: ApiClient, method: str) -> None:
    getattr(client, method)("things/1")
    assert door.server.last.method == method.upper()


def test_the_client_sends_every_kind_of_body(door: KitFrontDoor, client: ApiClient) -> None:
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


def test_json_bodies_can_contain_models_dates_and_arrays(door: KitFrontDoor, client: ApiClient) -> None:
    class Point(BaseModel):
        x: float
        day: datetime.date

    client.post(
        "a", json={"p": Point(x=1.5, day=datetime.date(2026, 1, 2)), "n": np.int64(3), "v": np.array([1.0, 2.0])}
    )
    assert door.server.last.json() == {"p": {"x": 1.5, "day": "2026-01-02"}, "n": 3, "v": [1.0, 2.0]}


@pytest.mark.parametrize(
    "value",
    [float("nan"), {"x": float("inf")}, object(), np.array([np.nan])],
    ids=["nan", "infinity", "object", "array of nan"],
)
def test_a_value_that_json_cannot_hold_is_refused_before_anything_is_sent(
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
def test_headers_and_options_that_belong_to_the_front_door_are_refused(
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


def test_a_query_in_the_path_and_in_params_is_refused(client: ApiClient) -> None:
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


def test_a_cookie_of_one_answer_is_not_sent_with_another_request(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", headers={"Set-Cookie": "sid=alice; Path=/"})
    client.get("a")
    client.get("b")
    assert door.server.last.header("Cookie") is None


def test_proxies_and_netrc_in_the_environment_are_ignored(
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


def test_a_stream_that_is_left_early_releases_its_connection(door: KitFrontDoor, client: ApiClient) -> None:
    door.server.respond("/api/a", stream=[b"one", HANG], chunked=True)
    with client.stream("GET", "a") as stream:
        assert next(stream.iter_bytes()) == b"one"
    door.server.wait_for(lambda server: server.connections_open == 0)


def test_threads_can_use_a_client(door: KitFrontDoor, client: ApiClient) -> None:
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


def test_a_client_cannot_be_cached_for_other_people(client: ApiClient) -> None:
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


def test_the_repr_of_a_client_shows_no_secret(client: ApiClient, kit: Kit) -> None:
    for text in (repr(client), str(client), repr(kit)):
        assert HANDLE not in text
        assert KIT_SECRET not in text
    assert "alice" in repr(client)


def test_a_single_route_needs_no_name() -> None:
    assert _choose_route({"api": "/api/"}, "", settings=SETTINGS, is_known=True) == "/api/"
    assert _choose_route({"api": "/api/", "other": "/o/"}, "other", settings=SETTINGS, is_known=True) == "/o/"
    assert _choose_route({}, "api", settings=SETTINGS, is_known=False) == ""
    assert _choose_route({}, "", settings=SETTINGS, is_known=True) == ""


def test_a_missing_or_unnamed_route_gives_an_error_that_lists_the_routes() -> None:
    with pytest.raises(KitMisconfigured, match="api, other"):
        _choose_route({"api": "/api/", "other": "/o/"}, "", settings=SETTINGS, is_known=True)
    with pytest.raises(KitMisconfigured, match="it may call: api"):
        _choose_route({"api": "/api/"}, "wrong", settings=SETTINGS, is_known=True)


def test_outside_a_page_the_client_gives_an_error(kit: Kit) -> None:
    with use_kit(kit), pytest.raises(OutsidePage):
        prepare_client()


def test_without_configuration_the_error_of_the_client_says_what_to_do() -> None:
    with use_kit(None), pytest.raises(KitMisconfigured, match="vestibule dev"):
        prepare_client()
