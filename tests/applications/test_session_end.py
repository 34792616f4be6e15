"""Real applications of other frameworks in Chromium, behind the door: an open tab notices that its session is over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from bff.contract import EndReason
from tests.applications.programs import PROGRAMS, running_program
from tests.fakes import FakeProvider
from tests.front_door import page_route, running_door

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(420)]

PATIENCE = 30_000


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("end", ["while its connections were lost", pytest.param("by force", marks=pytest.mark.long)])
def test_an_open_tab_leaves_the_page_when_its_session_is_over(
    name: str, end: str, applications: Path, chromium: Browser, provider: FakeProvider, tmp_path: Path
) -> None:
    with (
        running_program(name, applications, tmp_path) as address,
        running_door({"corp": provider}, [page_route(address)]) as door,
        chromium.new_context() as context,
    ):
        tab = context.new_page()
        tab.goto(f"{door.url}/?chart=3")
        tab.locator("#person-alice").click()
        expect(tab.get_by_text(re.compile(r"beat [1-9]"))).to_be_visible(timeout=PATIENCE)
        assert tab.locator("script[src='/auth/guard.js']").count() == 1
        if end == "by force":
            door.do(door.app.bff.sessions.end_person(provider.issuer, "alice", EndReason.REVOKED))
        else:
            context.clear_cookies(domain="localhost")  # no close code reaches the tab: it has to connect again
            door.cut_connections()
        gone = re.compile(rf"{re.escape(provider.issuer)}|{re.escape(door.url)}/auth/logged-out")
        expect(tab).to_have_url(gone, timeout=PATIENCE)
        expect(tab.get_by_text("beat")).to_have_count(0)
