"""Tests that need a browser: the sign-out form is really submitted, and a sign-in link stays in its tab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect, sync_playwright

from tests.ports import free_port
from tests.streamlit_kit.front_door import CLIENT, KIT_SECRET
from tests.streamlit_kit.visitor import streamlit_running

pytestmark = pytest.mark.component("chromium")

# The query says who is signed in, as a cookie does at a front door.
PAGE = """
import os
import httpx
import streamlit as st
import streamlit_kit as kit
from bff.contract import Identity
from streamlit_kit.assertion import PageSession
from streamlit_kit.runtime import create_kit, use_kit
from streamlit_kit.settings import read_settings

who = st.query_params.get("who")
alice = Identity(sub=who or "", iss="https://idp.example.com", name="Alice Example", email="alice@example.com")
session = PageSession(identity=alice, handle="handle") if who else None
with use_kit(create_kit(read_settings(os.environ), httpx.Client(), find_session=lambda: session)):
    kit.logout_button(everywhere="everywhere" in st.query_params)
    if "admin" in st.query_params:
        kit.require_role("admin")
    kit.require_login()
    st.title("Inside")
"""

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    script = tmp_path_factory.mktemp("page") / "page.py"
    script.write_text(PAGE)
    port = free_port()
    url = f"http://localhost:{port}"
    environment = {
        "VESTIBULE_KIT__URL": url,
        "VESTIBULE_KIT__CLIENT": CLIENT,
        "VESTIBULE_KIT__SECRET": KIT_SECRET,
    }
    with streamlit_running(Path(script), port, environment):
        yield url


@pytest.fixture(scope="module")
def browser(component: Callable[[str], Path]) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(component("chromium")), args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def answer_auth_paths(tab: Page, url: str) -> list[Request]:
    """Answer below /auth/ in place of the front door. Every request there is added to the returned list."""
    arrived: list[Request] = []

    def answer(route: Route) -> None:
        arrived.append(route.request)
        route.fulfill(body="<h1>The front door</h1>", content_type="text/html")

    tab.route(f"{url}/auth/**", answer)
    return arrived


@pytest.mark.parametrize(("query", "body"), [("", ""), ("&everywhere", "everywhere=1")])
def test_a_click_on_sign_out_posts_a_form_from_the_origin_of_the_page(
    tab: Page, page_url: str, query: str, body: str
) -> None:
    arrived = answer_auth_paths(tab, page_url)
    tab.goto(f"{page_url}/?who=alice{query}")
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="The front door")).to_be_visible()
    assert tab.url == f"{page_url}/auth/logout"
    assert len(arrived) == 1
    sent = arrived[0]
    assert (sent.method, sent.post_data or "") == ("POST", body)
    assert sent.is_navigation_request()
    assert sent.header_value("origin") == page_url
    assert sent.header_value("content-type") == "application/x-www-form-urlencoded"


def test_signing_in_stays_in_the_tab_and_leads_back_to_page_and_query(
    tab: Page, page_url: str, artefacts: Path
) -> None:
    arrived = answer_auth_paths(tab, page_url)
    tab.goto(f"{page_url}/?team=red%20%26%20blue")
    expect(tab.get_by_role("heading", name="Please sign in")).to_be_visible()
    tab.screenshot(path=artefacts / "kit-signed-out.png")
    tab.get_by_role("link", name="Sign in").click()
    expect(tab.get_by_role("heading", name="The front door")).to_be_visible()
    assert len(tab.context.pages) == 1
    assert [request.method for request in arrived] == ["GET"]
    assert parse_qs(urlsplit(arrived[0].url).query) == {"return_to": ["/?team=red%20%26%20blue"]}


@pytest.mark.parametrize("width", [1280, 390])
def test_the_refusal_fits_into_the_window(tab: Page, page_url: str, artefacts: Path, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(f"{page_url}/?who=alice&admin")
    expect(tab.get_by_role("heading", name="You do not have access to this page")).to_be_visible()
    panel = tab.locator("section.vk-panel")
    expect(panel).to_contain_text("Alice Example")
    box = panel.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    tab.screenshot(path=artefacts / f"kit-refused-{width}.png")
