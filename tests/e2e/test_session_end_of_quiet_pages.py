"""A tab in Chromium whose page fetches nothing, or loads code and pictures only, notices that its session is over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from bff.contract import EndReason
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route, running_door

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]

HTML: Final = ("Content-Type", "text/html; charset=utf-8")
PAGE: Final = b"<!doctype html><html><head><title>an application</title></head><body>old data</body></html>"
IDLE_SECONDS: Final = 4
ADD: Final = "(make) => { const [kind, key, value] = make; const e = document.createElement(kind); e[key] = value; %s }"
ELEMENT: Final = ADD % "if (kind === 'link') e.rel = 'stylesheet'; document.body.append(e);"
IMPORT: Final = "() => { import('/late.js').catch(() => 0); }"
WRITES: Final = """() => {
  window.addEventListener("beforeunload", (event) => event.preventDefault());
  setInterval(() => fetch("/poll").catch(() => 0), 500);
}"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        running.respond("/", headers=[HTML], body=PAGE)
        running.respond("/missing.png", status=404, body=b"")
        running.respond("/poll", body=b"{}")
        yield running


@pytest.fixture(scope="module")
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    with running_door({"corp": provider}, [page_route(upstream)]) as running:
        yield running


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context() as fresh:
        fresh.set_default_timeout(20_000)
        yield fresh


def signed_in(context: BrowserContext, door: RunningDoor) -> Page:
    """A tab whose script knows who is signed in."""
    tab = context.new_page()
    tab.goto(f"{door.url}/?chart=3")
    with tab.expect_response(re.compile(".*/auth/session$")):
        tab.locator("#person-alice").click()
    expect(tab.get_by_text("old data")).to_be_visible()
    tab.wait_for_timeout(200)
    return tab


def end_sessions(door: RunningDoor, provider: FakeProvider) -> None:
    door.do(door.app.bff.sessions.end_person(provider.issuer, "alice", EndReason.REVOKED))


@pytest.mark.parametrize(
    ("script", "argument"),
    [
        pytest.param(ELEMENT, ["script", "src", "/late.js"], id="script"),
        pytest.param(ELEMENT, ["link", "href", "/late.css"], id="style sheet"),
        pytest.param(ELEMENT, ["img", "src", "/late.png"], id="picture"),
        pytest.param(IMPORT, None, id="import"),
    ],
)
def test_a_part_of_a_page_that_is_answered_401_makes_the_tab_ask(
    context: BrowserContext, door: RunningDoor, provider: FakeProvider, script: str, argument: list[str] | None
) -> None:
    tab = signed_in(context, door)
    end_sessions(door, provider)
    tab.evaluate(script, argument)
    expect(tab).to_have_url(re.compile(re.escape(provider.issuer)))
    tab.locator("#person-alice").click()
    expect(tab).to_have_url(f"{door.url}/?chart=3")


def test_a_picture_that_is_missing_makes_no_tab_ask(context: BrowserContext, door: RunningDoor) -> None:
    tab = signed_in(context, door)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url) if request.url.endswith("/auth/session") else None)
    tab.evaluate(ELEMENT, ["img", "src", "/missing.png"])
    tab.wait_for_timeout(1_500)
    assert asked == []


def test_a_page_that_asks_for_nothing_leaves_when_the_session_ends_by_time(
    provider: FakeProvider, upstream: RecordingUpstream, context: BrowserContext
) -> None:
    session = {"idle_seconds": IDLE_SECONDS, "absolute_seconds": 600}
    with running_door({"corp": provider}, [page_route(upstream)], session=session) as door:
        tab = signed_in(context, door)
        expect(tab).to_have_url(re.compile(re.escape(provider.issuer)))
        tab.locator("#person-alice").click()
        expect(tab).to_have_url(f"{door.url}/?chart=3")


def test_a_page_that_is_used_stays_beyond_the_first_idle_end(
    provider: FakeProvider, upstream: RecordingUpstream, context: BrowserContext
) -> None:
    session = {"idle_seconds": 8, "absolute_seconds": 600}
    with running_door({"corp": provider}, [page_route(upstream)], session=session) as door:
        tab = signed_in(context, door)
        for _ in range(12):
            tab.evaluate("() => fetch('/poll').then((answer) => answer.text())")
            tab.wait_for_timeout(1_000)
        assert tab.url == f"{door.url}/?chart=3"


def test_a_person_who_stays_to_keep_their_work_is_asked_once_and_can_go_on_after_a_sign_in(
    provider: FakeProvider, context: BrowserContext, door: RunningDoor
) -> None:
    tab = signed_in(context, door)
    questions: list[str] = []

    def stay(dialog: Dialog) -> None:
        questions.append(dialog.type)
        dialog.dismiss()

    tab.on("dialog", stay)
    tab.get_by_text("old data").click()  # browsers ask only where somebody did something
    tab.evaluate(WRITES)
    end_sessions(door, provider)
    bar = tab.get_by_role("alert")
    expect(bar).to_contain_text("Your session has ended")
    tab.wait_for_timeout(8_000)
    assert questions == ["beforeunload"]
    expect(bar).to_have_count(1)
    with context.expect_page() as opened:
        bar.get_by_role("link").click()
    other = opened.value
    other.locator("#person-alice").click()
    expect(other).to_have_url(f"{door.url}/?chart=3")
    other.close()
    tab.bring_to_front()
    tab.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # headless tabs are always visible
    expect(bar).to_have_count(0)
    expect(tab.get_by_text("old data")).to_be_visible()
