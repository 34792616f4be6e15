"""The demo in a real browser, as a first visitor sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Demo

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]
DEEP_LINK = "/explore?species=Gentoo&min=5500"


def sign_in(tab: Page, demo: Demo, person: str = "alice", path: str = "/") -> None:
    """Open `path` without a session, sign in at the provider's page, and come back."""
    tab.goto(demo.url + path)
    tab.locator(f"button[value={person}]").click()
    tab.wait_for_url(demo.url + "/**")


def sign_out(tab: Page) -> None:
    """Press the app's own button. The provider ends its session too and sends the person back."""
    tab.get_by_role("button", name="Sign out").click()
    tab.wait_for_url("**/auth/logged-out**")


def test_a_sign_in_leads_back_to_a_deep_link_with_its_query(tab: Page, demo: Demo) -> None:
    tab.goto(demo.url + DEEP_LINK)
    assert tab.url.startswith("http://127.0.0.1:"), "a signed-out visitor meets the provider first"
    tab.locator("button[value=alice]").click()
    expect(tab.get_by_text("33 of 342")).to_be_visible()
    assert tab.url == demo.url + DEEP_LINK


def test_a_simulation_runs_and_shows_its_plot(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo, path="/simulate")
    tab.get_by_role("button", name="Start simulation").click()
    expect(tab.get_by_text("Simulating day")).to_be_visible()
    expect(tab.get_by_role("heading", name="Through the colony")).to_be_visible(timeout=30_000)
    expect(tab.locator("[data-testid=stVegaLiteChart]").first).to_be_visible()


def test_a_reloaded_page_and_a_second_tab_are_signed_in(tab: Page, context: BrowserContext, demo: Demo) -> None:
    sign_in(tab, demo)
    tab.reload()
    expect(tab.get_by_text("Welcome to the rookery")).to_be_visible()
    second = context.new_page()
    second.goto(demo.url + "/whoami")
    expect(second.get_by_text("alice@example.com").first).to_be_visible()
    assert second.url == demo.url + "/whoami"


def test_signing_out_in_one_tab_signs_out_the_other_tab(tab: Page, context: BrowserContext, demo: Demo) -> None:
    sign_in(tab, demo, path=DEEP_LINK)
    expect(tab.get_by_text("33 of 342")).to_be_visible()
    second = context.new_page()
    second.goto(demo.url + "/")
    second.get_by_role("button", name="Sign out").click()
    tab.wait_for_url("**/auth/logged-out**")  # nobody touches this tab; how soon: tests/security/test_session_life.py
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert "return_to=%2Fexplore%3Fspecies%3DGentoo" in tab.url
    second.wait_for_url("**/auth/logged-out**")
    assert second.request.get(demo.url + "/auth/session").status == 401


def test_signing_in_again_leads_back_to_the_page(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo, path=DEEP_LINK)
    expect(tab.get_by_text("33 of 342")).to_be_visible()
    tab.request.post(demo.url + "/auth/logout", headers={"Origin": demo.url}, max_redirects=0)
    tab.wait_for_url("**/auth/logged-out**")
    tab.locator("#sign-in").click()  # the provider still knows alice and does not ask again
    expect(tab.get_by_text("33 of 342")).to_be_visible()
    assert tab.url == demo.url + DEEP_LINK


def test_bob_is_refused_on_the_admin_page(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo, "bob", path="/admin")
    expect(tab.get_by_role("heading", name="You do not have access to this page")).to_be_visible()
    expect(tab.get_by_text("admin", exact=True)).to_be_visible()
    assert tab.get_by_text("Calls by endpoint").count() == 0


def test_another_person_in_the_same_browser_sees_no_data_of_the_first(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo, path="/whoami")
    expect(tab.get_by_text("alice@example.com").first).to_be_visible()
    sign_out(tab)
    sign_in(tab, demo, "bob", path="/whoami")
    expect(tab.get_by_text("bob@example.com").first).to_be_visible()
    assert tab.get_by_text("alice@example.com").count() == 0


def test_a_large_table_is_shown(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo, path="/explore?large=true")
    tab.get_by_text("For the curious").click()
    table = tab.locator("[data-testid=stDataFrame]").last
    expect(table).to_be_visible()
    rows = table.locator("table").first
    assert int(rows.get_attribute("aria-rowcount") or 0) >= 20_000
    assert int(rows.get_attribute("aria-colcount") or 0) >= 10


def test_cancelling_at_the_provider_leads_to_a_page_with_another_try(tab: Page, demo: Demo, artefacts: Path) -> None:
    tab.goto(demo.url + DEEP_LINK)
    tab.locator("button[value=deny]").click()
    expect(tab.get_by_text("The sign-in was cancelled")).to_be_visible()
    tab.screenshot(path=artefacts / "error-1280.png")
    tab.get_by_role("link", name="Try again").click()
    tab.locator("button[value=alice]").click()
    expect(tab.get_by_text("33 of 342")).to_be_visible()
    assert tab.url == demo.url + DEEP_LINK


PAGES = {
    "start": ("/", "Welcome to the rookery"),
    "explore": ("/explore", "of 342"),
    "predict": ("/predict", "Estimate mass"),
    "simulate": ("/simulate", "Start simulation"),
    "clean": ("/clean?sample=true", "What is wrong"),
    "whoami": ("/whoami", "alice@example.com"),
    "admin": ("/admin", "Calls by endpoint"),
    "logout": ("/auth/logout", "Sign out?"),
    "account": ("/auth/account", "this browser"),
}


def test_every_page_opens(tab: Page, demo: Demo) -> None:
    sign_in(tab, demo)
    for path, text in PAGES.values():
        tab.goto(demo.url + path)
        expect(tab.get_by_text(text).first).to_be_attached()


@pytest.mark.long
def test_every_page_has_its_picture_on_wide_and_narrow_screens(tab: Page, demo: Demo, artefacts: Path) -> None:
    sign_in(tab, demo)
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 800})
        for name, (path, text) in PAGES.items():
            tab.goto(demo.url + path)
            expect(tab.get_by_text(text).first).to_be_attached()
            tab.wait_for_timeout(400)  # charts draw themselves a moment after their data
            tab.screenshot(path=artefacts / f"{name}-{width}.png", full_page=True)
    assert len(list(artefacts.glob("*-390.png"))) >= len(PAGES)
