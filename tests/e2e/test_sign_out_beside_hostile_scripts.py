"""TK-5: the form that hands a long sign-out to the provider holds the ID token, and no script of a page may read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.fakes import FakeProvider, Options, RecordingUpstream
from tests.front_door import RunningDoor, page_route, running_door
from tests.security.many_groups import many_groups

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]

HTML = ("Content-Type", "text/html; charset=utf-8")
PAGE = b"<!doctype html><html><head><title>an application</title></head><body>text</body></html>"
FETCH = """async () => {
  try {
    return await (await fetch("/auth/logout", { method: "POST" })).text();
  } catch {
    return "unread";
  }
}"""
XHR = """() => new Promise((done) => {
  const request = new XMLHttpRequest();
  request.open("POST", "/auth/logout");
  request.onloadend = () => done(request.responseText);
  request.send();
})"""
IN_A_WINDOW = """(place) => new Promise((done) => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/auth/logout";
  form.target = "other";
  const other = place === "frame" ? document.createElement("iframe") : window.open("", "other");
  if (place === "frame") other.name = "other";
  document.body.append(form);
  if (place === "frame") document.body.append(other);
  form.submit();
  const look = () => {
    try {
      const its = place === "frame" ? other.contentDocument : other.document;
      if (its.documentElement.innerHTML.includes("id_token_hint")) done("id_token_hint");
    } catch { /* another origin */ }
  };
  const timer = setInterval(look, 1);
  setTimeout(() => { clearInterval(timer); done(""); }, 400);
})"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as running, many_groups(running):
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        running.respond("/", headers=[HTML], body=PAGE)
        running.respond("/alone", headers=[HTML, ("Cross-Origin-Opener-Policy", "same-origin")], body=PAGE)
        yield running


@pytest.fixture(scope="module")
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    with running_door({"corp": provider}, [page_route(upstream)]) as running:
        provider.client.post_logout_redirect_uris[:] = [f"{running.url}/auth/logged-out"]
        yield running


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context() as fresh:
        fresh.set_default_timeout(20_000)
        yield fresh


@pytest.fixture
def tab(context: BrowserContext, provider: FakeProvider) -> Page:
    provider.options = Options(auto_login="alice")
    return context.new_page()


@pytest.mark.parametrize("path", ["/", "/alone"], ids=["a page", "a page with our opener policy"])
@pytest.mark.parametrize(
    ("script", "place"),
    [(FETCH, ""), (XHR, ""), (IN_A_WINDOW, "frame"), (IN_A_WINDOW, "window")],
    ids=["fetch", "XHR", "a frame", "another window"],
)
def test_tk_5_no_script_of_a_page_reads_the_id_token_of_a_long_sign_out(
    tab: Page, door: RunningDoor, path: str, script: str, place: str
) -> None:
    tab.goto(door.url + path)
    seen = tab.evaluate(script, place)
    assert "id_token_hint" not in seen
