"""The mock provider of the demo in a real browser: by keyboard, on small and dark screens, and back-channel logout."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Demo

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]


def provider_of(demo: Demo) -> str:
    """The address that the greeting names."""
    found = re.search(r"http://127\.0\.0\.1:\d+", demo.process.output)
    assert found
    return found[0]


def test_a_person_can_sign_in_with_the_keyboard_only_and_sees_what_is_wrong(tab: Page, demo: Demo) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(demo.url + "/whoami")
    assert all(address.startswith((demo.url, provider_of(demo))) for address in asked), asked
    assert {urlsplit(address).port for address in asked} == {urlsplit(demo.url).port}, "one forwarded port is enough"
    tab.get_by_text("Somebody else").focus()
    tab.keyboard.press("Enter")
    for words in ("Zoë Müller", "analyst", "", "{broken"):
        tab.keyboard.press("Tab")
        tab.keyboard.type(words)
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("alert")).to_contain_text("not a JSON object")
    claims = tab.get_by_label("Further claims")
    expect(claims).to_be_focused()
    expect(claims).to_have_accessible_description(re.compile("not a JSON object"))
    expect(tab.get_by_label("Name")).to_have_value("Zoë Müller")
    tab.keyboard.press("Control+a")
    tab.keyboard.type('{"department": "physics"}')
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.get_by_text("zoe-muller@example.com").first).to_be_visible()


def test_a_session_that_ends_at_the_provider_signs_the_open_tab_out(tab: Page, demo: Demo) -> None:
    tab.goto(demo.url + "/whoami")
    tab.locator("#person-bob").click()
    expect(tab.get_by_text("bob@example.com").first).to_be_visible()
    desk = tab.context.new_page()
    desk.goto(provider_of(demo) + "/")
    desk.get_by_role("row", name="this browser").get_by_role("button", name="End this session").click()
    expect(desk.get_by_role("status")).to_contain_text("Rookery was told (back-channel logout, status 200)")
    tab.wait_for_url("**/auth/logged-out**")
    expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
    tab.goto(demo.url + "/whoami")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_sign_in_page_fits_every_screen(chromium: Browser, demo: Demo, artefacts: Path, scheme: str) -> None:
    for width in (1280, 390, 320):
        view = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]  # one of the two
        with view:
            page = view.new_page()
            page.goto(demo.url + "/whoami")
            page.get_by_text("Somebody else").click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            shown = page.locator("body").evaluate("one => getComputedStyle(one).backgroundColor")
            assert shown == {"light": "rgb(242, 245, 248)", "dark": "rgb(15, 22, 29)"}[scheme]
            page.screenshot(path=artefacts / f"provider-{scheme}-{width}.png", full_page=True)
