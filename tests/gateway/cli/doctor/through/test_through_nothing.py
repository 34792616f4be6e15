"""`vestibule doctor --through` at a door without a proxy: what it must not call a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from gateway.cli.doctor.checks import Report
from gateway.cli.doctor.through.examination import examine_through
from gateway.cli.doctor.through.wishes import Wishes
from tests.fakes import FakeProvider
from tests.front_door import RunningDoor, api_route, running_door
from tests.gateway.cli.doctor.through.proxied_door import faults


@pytest.fixture(params=["", "/apps"], ids=["at the root", "below a path"])
def door(request: pytest.FixtureRequest) -> Iterator[RunningDoor]:
    with FakeProvider() as provider:
        route = api_route("http://127.0.0.1:9")
        with running_door({"corp": provider}, [route]) as first:
            port = first.port
        server = {"public_url": f"http://localhost:{port}{request.param}", "auth_path": "/sign-in"}
        started = RunningDoor({"corp": provider}, [route], port=port, server=server).start()
        try:
            yield started
        finally:
            started.stop()


def look(door: RunningDoor) -> Report:
    return asyncio.run(examine_through(door.settings, door.url, Wishes(quiet_seconds=1), clock=time.time))


def test_a_door_that_people_reach_directly_has_no_fault(door: RunningDoor) -> None:
    report = look(door)
    assert faults(report) == []
    text = report.as_text()
    assert "no proxy is trusted, and a forged X-Forwarded-For has no effect" in text
    assert "/sign-in/verify is not reachable from outside" in text
    assert "redirect" not in text
