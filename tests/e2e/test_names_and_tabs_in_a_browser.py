"""Files of any name and a browser full of restored tabs, in a real Chromium through the front door."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]

PAGE = b"<!doctype html><title>an application</title><h1>an application</h1>"
NAMES = [
    "résumé (1) #2 & 50%.txt",
    "a#b.txt",
    "a;b.txt",
    "50%25.txt",
    "報告（最終）.pdf",
    "报告＆附件.pdf",
    "รายงาน.txt",
    "تقرير نهائي.pdf",
    "👩‍🔬🎉.png",
]
DOWNLOAD = """
name => {
  const link = document.createElement("a");
  link.href = "/files/" + encodeURIComponent(name);
  link.download = "";
  document.body.append(link);
  link.click();
}
"""
GO = "address => { setTimeout(() => { location.href = address; }, 0); }"
TABS = 12


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        running.respond("*", body=PAGE, headers={"content-type": "text/html"})
        yield running


@pytest.fixture
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    running = RunningDoor({"corp": provider}, [page_route(upstream)]).start()
    yield running
    running.stop()


def test_a_file_with_any_name_can_be_downloaded(tab: Page, door: RunningDoor, upstream: RecordingUpstream) -> None:
    tab.goto(f"{door.url}/page")
    for name in NAMES:
        upstream.clear()
        with tab.expect_download() as waiting:
            tab.evaluate(DOWNLOAD, name)
        assert waiting.value.path().read_bytes() == PAGE, name
        assert waiting.value.suggested_filename == name.replace("\u200d", "_"), "browsers keep no joiner in names"
        assert unquote(upstream.last.target.decode()) == f"/files/{name}"


def test_every_tab_of_a_restored_browser_reaches_its_page(
    context: BrowserContext, door: RunningDoor, provider: FakeProvider
) -> None:
    """Nobody is signed in, and the provider has a session: all tabs sign in at once."""
    provider.bend.authorization.delay(0.7)  # every tab has begun before the first one is through
    before = len(provider.hits_of("authorization"))
    tabs = [context.new_page() for _ in range(TABS)]
    for number, page in enumerate(tabs):
        page.evaluate(GO, f"{door.url}/tab/{number}?x={number}")
    for number, page in enumerate(tabs):
        page.wait_for_url(f"{door.url}/tab/{number}?x={number}")
        page.get_by_role("heading", name="an application").wait_for()
    # On a slow machine a browser may ask once more for a tab; what counts is that no tab went without its own.
    assert len(provider.hits_of("authorization")) - before >= TABS, "each tab had a sign-in of its own"
