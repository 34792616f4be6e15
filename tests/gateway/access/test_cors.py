"""Cross-origin calls: exact origins, preflights answered here, nothing reflected."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.fakes import CookieClient, FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, api_route, page_route, running_door

FRIEND = "https://friend.example"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as up:
        up.respond("/wide", headers=[("Access-Control-Allow-Origin", "*")], body=b"x")
        yield up


@pytest.fixture(scope="module")
def door(upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    routes = [api_route(upstream, cors_origins=[FRIEND]), page_route(upstream)]
    with FakeProvider() as provider, running_door({"corp": provider}, routes) as running:
        yield running


def preflight(door: RunningDoor, origin: str, *, path: str = "/api/x", headers: str = "x-thing") -> httpx.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": headers}
    return httpx.options(door.url + path, headers=asked)


def test_cs_4_a_preflight_of_an_allowed_origin_is_answered_without_the_upstream(
    door: RunningDoor, upstream: RecordingUpstream
) -> None:
    seen = len(upstream.requests)
    response = preflight(door, FRIEND)
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-allow-methods"] == "PUT"
    assert response.headers["access-control-allow-headers"] == "x-thing"
    assert response.headers["vary"] == "Origin"
    assert len(upstream.requests) == seen


@pytest.mark.parametrize(
    "origin",
    [
        "https://friend.example.evil",
        "https://evilfriend.example",
        "http://friend.example",
        "https://friend.example:8443",
        "HTTPS://FRIEND.EXAMPLE",
        "null",
        "*",
    ],
)
def test_cs_4_a_preflight_of_every_other_origin_is_refused(door: RunningDoor, origin: str) -> None:
    response = preflight(door, origin)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_cs_4_routes_without_cors_refuse_preflights(door: RunningDoor) -> None:
    assert preflight(door, FRIEND, path="/page").status_code == 403


def test_cs_4_only_an_allowed_origin_can_read_an_answer(door: RunningDoor) -> None:
    with CookieClient() as browser:
        door.sign_in(browser)
        cookie = f"vestibule={browser.cookies['vestibule'].value}"
    headers = {"Origin": FRIEND, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Cookie": cookie}
    response = httpx.post(door.url + "/api/x", headers=headers)
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == FRIEND
    stranger = httpx.post(door.url + "/api/x", headers=headers | {"Origin": "https://evil.example"})
    assert stranger.status_code == 403
    assert "access-control-allow-origin" not in stranger.headers


def test_cs_4_an_upstream_cannot_allow_more_origins(door: RunningDoor) -> None:
    with CookieClient() as browser:
        door.sign_in(browser)
        response = browser.fetch(door.url + "/api/wide")
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers
    assert "Origin" in response.headers["vary"]


def test_cs_4_an_allowed_origin_can_read_a_refusal(door: RunningDoor) -> None:
    response = httpx.get(door.url + "/api/x", headers={"Origin": FRIEND, "Sec-Fetch-Mode": "cors"})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == FRIEND
