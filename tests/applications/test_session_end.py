"""Real applications of other frameworks in Chromium, behind the door: an open tab notices that its session is over."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from bff.contract import EndReason
from tests.applications.programs import PROGRAMS, QUICK, running_program
from tests.applications.tabs import PATIENCE, open_application
from tests.fakes import FakeProvider
from tests.front_door import RunningDoor, page_route
from tests.ports import free_port

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(420)]

LOST: Final = "while its connections were lost"
IDLE_SECONDS: Final = 8
ENDS: Final = (LOST, "by force", "by idleness")
CASES: Final = [
    pytest.param(name, end, id=f"{name}-{end}", marks=[] if name in QUICK and end == LOST else [pytest.mark.long])
    for name in PROGRAMS
    for end in ENDS
]


@pytest.mark.parametrize(("name", "end"), CASES)
def test_an_open_tab_leaves_the_page_when_its_session_is_over(
    name: str,
    end: str,
    python_with: Callable[[str], Path],
    chromium: Browser,
    provider: FakeProvider,
    tmp_path: Path,
) -> None:
    program, port = PROGRAMS[name], free_port()
    session = {"idle_seconds": IDLE_SECONDS, "absolute_seconds": 600} if end == "by idleness" else {}
    with ExitStack() as stack:
        python = python_with(program.environment)
        address = stack.enter_context(running_program(name, python, tmp_path, public=f"localhost:{port}"))
        route = page_route(address, quiet_paths=list(program.quiet), **program.route)
        door = RunningDoor({"corp": provider}, [route], port=port, session=session).start()
        stack.callback(door.stop)
        context = stack.enter_context(chromium.new_context())
        tab = open_application(name, context, door)
        if end == LOST:
            context.clear_cookies(domain="localhost")  # no close code reaches the tab: it has to connect again
            door.cut_connections()
        elif end == "by force":
            door.do(door.app.bff.sessions.end_person(provider.issuer, "alice", EndReason.REVOKED))
        else:
            tab.wait_for_timeout(IDLE_SECONDS * 1000 + 500)
        _expect_gone(tab, door, provider)


def _expect_gone(tab: Page, door: RunningDoor, provider: FakeProvider) -> None:
    gone = re.compile(rf"{re.escape(provider.issuer)}|{re.escape(door.url)}/auth/logged-out")
    expect(tab).to_have_url(gone, timeout=PATIENCE)
    expect(tab.get_by_text("beat")).to_have_count(0)
