"""Service workers in a real Chromium: they are refused, or they work only for the folder of their application."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gateway import admission
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]

WORKER = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => {
  if (event.request.mode === "navigate") {
    event.respondWith(new Response("<h1>answered by the worker</h1>", {headers: {"content-type": "text/html"}}));
  }
});
"""
QUIET = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
"""
PASSING = QUIET + "self.addEventListener('fetch', event => event.respondWith(fetch(event.request)));"
SIGN_OUT = """
() => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/auth/logout";
  document.body.append(form);
  form.submit();
}
"""
PAGE = b"<!doctype html><title>an application</title><h1>an application</h1>"
REGISTER = """
async ([script, options]) => {
  try {
    await navigator.serviceWorker.register(script, options);
    await navigator.serviceWorker.ready;
    return "registered";
  } catch (error) {
    return error.name;
  }
}
"""
COUNT = "async () => (await navigator.serviceWorker.getRegistrations()).length"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as running:
        yield running


@pytest.fixture
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        javascript = {"content-type": "text/javascript", "cache-control": "max-age=600"}
        for path in ("/sw.js", "/app/sw.js", "/app/deep/sw.js"):
            running.respond(path, body=WORKER.encode(), headers={**javascript, "service-worker-allowed": "/"})
        running.respond("*", body=PAGE, headers={"content-type": "text/html"})
        yield running


@pytest.fixture
def open_door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[Callable[..., RunningDoor]]:
    with ExitStack() as stack:

        def start(*routes: dict[str, Any], port: int = 0) -> RunningDoor:
            door = RunningDoor(
                {"corp": provider}, [page_route(upstream, **route) for route in routes], port=port
            ).start()
            stack.callback(door.stop)
            provider.client.post_logout_redirect_uris[:] = [f"{door.url}/auth/logged-out"]
            return door

        yield start


def register(tab: Page, script: str, **options: str) -> str:
    return str(tab.evaluate(REGISTER, [script, options]))


def sign_out(tab: Page) -> None:
    """Press the button of a form on the page."""
    tab.evaluate(SIGN_OUT)
    expect(tab.locator("h1")).to_contain_text("signed out")


@pytest.fixture
def with_old_worker(
    open_door: Callable[..., RunningDoor], tab: Page, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., RunningDoor]:
    """A door whose application at `/` registered a worker before the door refused it, and stored something."""

    def start(**route: Any) -> RunningDoor:
        door = open_door(route)
        with monkeypatch.context() as before:
            before.setattr(admission, "asks_for_worker", lambda headers: False)
            tab.goto(door.url + "/start")
            assert register(tab, "/sw.js") == "registered"
        tab.evaluate("localStorage.setItem('kept', 'yes')")
        return door

    return start


def test_an_application_at_the_root_cannot_register_a_service_worker(
    open_door: Callable[..., RunningDoor], tab: Page
) -> None:
    door = open_door({"service_workers": True})
    tab.goto(door.url + "/start")
    assert tab.evaluate("async () => (await fetch('/sw.js')).status") == 200, "as a script it may be had"
    for options in ({}, {"scope": "/start/"}, {"updateViaCache": "all"}):
        assert register(tab, "/sw.js", **options) == "TypeError"
    assert tab.evaluate(COUNT) == 0
    tab.goto(door.url + "/auth/account")
    expect(tab).to_have_title("Your account")


def test_a_service_worker_answers_only_for_the_folder_of_its_route(
    open_door: Callable[..., RunningDoor], tab: Page
) -> None:
    door = open_door({}, {"id": "app", "path": "/app/", "service_workers": True})
    tab.goto(door.url + "/app/start")
    assert register(tab, "/app/sw.js", scope="/") == "SecurityError"
    assert register(tab, "/app/sw.js") == "registered"
    tab.goto(door.url + "/app/start")
    expect(tab.locator("h1")).to_have_text("answered by the worker")
    for path, title in (("/auth/account", "Your account"), ("/start", "an application")):
        tab.goto(door.url + path)
        expect(tab).to_have_title(title)
    sign_out(tab)
    tab.goto(door.url + "/auth/account")
    expect(tab.locator("h1")).not_to_have_text("answered by the worker")


@pytest.mark.parametrize("worker", ["that is quiet", "that passes requests on"])
def test_signing_out_removes_a_service_worker_that_was_registered_earlier(
    with_old_worker: Callable[..., RunningDoor], upstream: RecordingUpstream, tab: Page, worker: str
) -> None:
    script = PASSING if "passes" in worker else QUIET
    upstream.respond("/sw.js", body=script.encode(), headers={"content-type": "text/javascript"})
    door = with_old_worker(clear_storage_at_sign_out=True)
    assert tab.evaluate(COUNT) == 1
    sign_out(tab)
    tab.goto(door.url + "/start")
    assert (tab.evaluate(COUNT), tab.evaluate("localStorage.getItem('kept')")) == (0, None)


def test_a_service_worker_that_answers_all_requests_is_removed_when_the_browser_updates_its_script(
    with_old_worker: Callable[..., RunningDoor], tab: Page
) -> None:
    door = with_old_worker(clear_storage_at_sign_out=True)
    tab.goto(door.url + "/auth/account")
    expect(tab.locator("h1")).to_have_text("answered by the worker")
    deadline = time.monotonic() + 30
    while tab.title() != "Your account":  # Chromium asks about a second after a visit
        assert time.monotonic() < deadline, "the worker is still there"
        tab.wait_for_timeout(2500)
        tab.goto(door.url + "/auth/account")
    assert tab.evaluate(COUNT) == 0


def test_without_clear_storage_a_service_worker_that_was_registered_earlier_stays(
    with_old_worker: Callable[..., RunningDoor], upstream: RecordingUpstream, tab: Page
) -> None:
    upstream.respond("/sw.js", body=QUIET.encode(), headers={"content-type": "text/javascript"})
    door = with_old_worker()
    sign_out(tab)
    tab.goto(door.url + "/start")
    assert (tab.evaluate(COUNT), tab.evaluate("localStorage.getItem('kept')")) == (1, "yes")
