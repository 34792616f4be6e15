"""PX-10: the rest of a path after a removed prefix leads no reader to another host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route
from tests.security.raw import RawAnswer, exchange

LEADS_AWAY = {
    "encoded slash": "%2Fevil.example/x",
    "encoded slash twice": "%252Fevil.example/x",
    "encoded backslash": "%5Cevil.example/x",
    "full-width slash": "%EF%BC%8Fevil.example/x",
    "parameters alone": ";x/evil.example/x",
    "white space alone": "%20/evil.example/x",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def door(upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    route = page_route(upstream, id="files", path="/files", auth="public", strip_prefix=True, encoded_slashes=True)
    with FakeProvider() as provider:
        running = RunningDoor({"main": provider}, [route]).start()
        yield running
        running.stop()


def get(door: RunningDoor, target: str) -> RawAnswer:
    request = f"GET {target} HTTP/1.1\r\nHost: localhost:{door.port}\r\nConnection: close\r\n\r\n"
    return RawAnswer.parse(exchange(door.port, request.encode("ascii")))


@pytest.mark.parametrize("rest", LEADS_AWAY.values(), ids=LEADS_AWAY.keys())
def test_px_10_no_reader_finds_a_host_behind_a_stripped_prefix(
    door: RunningDoor, upstream: RecordingUpstream, rest: str
) -> None:
    upstream.clear()

    answer = get(door, f"/files/{rest}")

    assert (answer.status, upstream.requests) == (400, [])
    assert "two slashes after the prefix" in answer.body.decode()


def test_px_10_an_encoded_slash_within_a_name_still_passes(door: RunningDoor, upstream: RecordingUpstream) -> None:
    upstream.clear()

    assert get(door, "/files/a%2Fb;c%20.txt").status == 200
    assert upstream.last.target == b"/a%2Fb;c%20.txt"
