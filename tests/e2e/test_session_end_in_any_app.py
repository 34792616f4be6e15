"""A tab of any application in Chromium notices that its session is over.

The application's own code is not disturbed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from bff.contract import EndReason
from tests.fakes import FakeProvider, Options, RecordingUpstream
from tests.front_door import RunningDoor, page_route, running_door

pytestmark = [pytest.mark.component("chromium"), pytest.mark.timeout(120)]

HTML: Final = ("Content-Type", "text/html; charset=utf-8")
STREAM: Final = ("Content-Type", "text/event-stream")
PAGE: Final = b"<!doctype html><html><head><title>an application</title></head><body>old data</body></html>"
SIGNED_OUT: Final = "You are signed out"

FETCH: Final = "() => { fetch('/data').catch(() => 0); }"
XHR: Final = "() => { const x = new XMLHttpRequest(); x.open('GET', '/data'); x.send(); }"
SYNC_XHR: Final = "() => { const x = new XMLHttpRequest(); x.open('GET', '/data', false); x.send(); }"
EVENTS: Final = "() => { window.kept = new EventSource('/events'); }"
SOCKET: Final = "() => { window.kept = new WebSocket('/socket'); }"
SUBCLASS: Final = "() => { class Own extends WebSocket {}; window.kept = new Own('/socket'); }"
OPENED: Final = "(path) => new Promise((done) => { window.kept = new WebSocket(path); window.kept.onopen = done; })"
HEARD: Final = "() => new Promise((done) => { window.kept = new EventSource('/cut'); window.kept.onmessage = done; })"
SIGN_OUT: Final = """() => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/auth/logout";
  document.body.append(form);
  form.submit();
}"""


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        running.respond("/", headers=[HTML], body=PAGE)
        running.respond("/strict", headers=[HTML, ("Content-Security-Policy", "default-src 'self'")], body=PAGE)
        running.respond("/open/", headers=[HTML], body=PAGE)
        running.respond("/cut", headers=[STREAM], stream=[b"data: one\n\n", 0.3], chunked=True)
        faked = [("X-Vestibule-Refused", "login_required")]
        running.respond("/own-401", status=401, headers=faked, body="the application's own words")
        yield running


@pytest.fixture(scope="module")
def door(provider: FakeProvider, upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    routes = [page_route(upstream), page_route(upstream, id="open", path="/open/", auth="optional")]
    with running_door({"corp": provider}, routes) as running:
        provider.client.post_logout_redirect_uris[:] = [f"{running.url}/auth/logged-out"]
        yield running


class Watched:
    """A tab, and how many questions it asked."""

    def __init__(self, page: Page) -> None:
        self.page, self.questions = page, 0
        page.on("request", self._note)

    def _note(self, request: Any) -> None:
        self.questions += request.url.endswith("/auth/session")

    def open(self, address: str) -> None:
        """Open a page, and wait until its script knows who is signed in."""
        before = self.questions
        self.page.goto(address)
        if self.page.locator("#person-alice").count():
            with self.page.expect_response(re.compile(".*/auth/session$")):
                self.page.locator("#person-alice").click()
        while self.questions == before:
            self.page.wait_for_timeout(20)
        self.page.wait_for_timeout(100)


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    with chromium.new_context() as fresh:
        fresh.set_default_timeout(20_000)
        yield fresh


@pytest.fixture
def tab(context: BrowserContext, door: RunningDoor) -> Watched:
    """A tab of somebody who has signed in."""
    watched = Watched(context.new_page())
    watched.open(f"{door.url}/?chart=3")
    return watched


def at_sign_in(provider: FakeProvider) -> re.Pattern[str]:
    return re.compile(re.escape(provider.issuer))


def stays(tab: Watched, milliseconds: int) -> bool:
    address = tab.page.url
    tab.page.wait_for_timeout(milliseconds)
    return tab.page.url == address and tab.page.locator("text=old data").count() == 1


@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(FETCH, id="fetch answered 401"),
        pytest.param(XHR, id="XHR answered 401"),
        pytest.param(SYNC_XHR, id="synchronous XHR answered 401"),
        pytest.param(EVENTS, id="event source answered 401"),
        pytest.param(SOCKET, id="socket closed before it opened"),
        pytest.param(SUBCLASS, id="socket of a subclass"),
    ],
)
def test_a_tab_whose_session_is_over_goes_to_the_sign_in_and_comes_back(
    tab: Watched, context: BrowserContext, provider: FakeProvider, door: RunningDoor, signal: str
) -> None:
    context.clear_cookies(domain="localhost")
    tab.page.evaluate(signal)
    expect(tab.page).to_have_url(at_sign_in(provider))
    tab.page.locator("#person-alice").click()
    expect(tab.page).to_have_url(f"{door.url}/?chart=3")


def test_an_event_source_that_was_cut_asks_when_it_may_not_come_back_and_tells_the_other_tabs(
    tab: Watched, context: BrowserContext, provider: FakeProvider, door: RunningDoor
) -> None:
    other = Watched(context.new_page())
    other.open(f"{door.url}/")
    tab.page.evaluate(HEARD)
    context.clear_cookies(domain="localhost")
    expect(tab.page).to_have_url(at_sign_in(provider))
    expect(other.page.get_by_text(SIGNED_OUT, exact=True)).to_be_visible()


@pytest.mark.parametrize("code", [1012, 1006])
def test_a_socket_that_was_lost_makes_the_tab_ask(
    tab: Watched,
    context: BrowserContext,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    door: RunningDoor,
    code: int,
) -> None:
    tab.page.evaluate(OPENED, "/socket")
    context.clear_cookies(domain="localhost")
    if code == 1006:
        door.cut_connections()
    else:
        upstream.websockets_open[-1].close(code)
    expect(tab.page).to_have_url(at_sign_in(provider))


def test_a_page_whose_policy_allows_only_its_own_scripts_notices_too(
    tab: Watched, context: BrowserContext, provider: FakeProvider, door: RunningDoor
) -> None:
    tab.open(f"{door.url}/strict")
    context.clear_cookies(domain="localhost")
    tab.page.evaluate(FETCH)
    expect(tab.page).to_have_url(at_sign_in(provider))


def test_a_tab_without_sockets_hears_that_another_tab_signed_out(
    tab: Watched, context: BrowserContext, door: RunningDoor
) -> None:
    other = Watched(context.new_page())
    other.open(f"{door.url}/")
    other.page.evaluate(SIGN_OUT)
    expect(other.page.get_by_text(SIGNED_OUT, exact=True)).to_be_visible()
    expect(tab.page.get_by_text(SIGNED_OUT, exact=True)).to_be_visible()
    assert "return_to=%2F%3Fchart%3D3" in tab.page.url


def test_what_an_application_answers_itself_is_no_reason_to_ask(tab: Watched) -> None:
    before = tab.questions
    said = tab.page.evaluate(
        "async () => { const a = await fetch('/own-401'); return [a.status, a.headers.get('x-vestibule-refused'), "
        "a.bodyUsed, await a.text()]; }"
    )
    assert said == [401, None, False, "the application's own words"]
    assert stays(tab, 1_500)
    assert tab.questions == before


def test_what_other_servers_do_is_no_reason_to_ask(tab: Watched, provider: FakeProvider) -> None:
    before = tab.questions
    tab.page.evaluate(
        """(other) => {
          window.kept = [new WebSocket(other.replace("http", "ws") + "/nothing"), new EventSource(other + "/nothing")];
        }""",
        provider.issuer,
    )
    assert stays(tab, 1_500)
    assert tab.page.evaluate("window.kept.map((each) => each.readyState)") == [3, 2]  # both are closed
    assert tab.questions == before


def test_the_page_reads_the_refusal_that_made_the_tab_ask(tab: Watched, context: BrowserContext) -> None:
    context.clear_cookies(domain="localhost")
    said = tab.page.evaluate("async () => { const a = await fetch('/data'); return [a.bodyUsed, await a.json()]; }")
    assert (said[0], said[1]["code"]) == (False, "login_required")


def test_many_hints_ask_one_question_in_five_seconds_and_change_nothing_while_the_session_lives(
    tab: Watched, upstream: RecordingUpstream, context: BrowserContext, door: RunningDoor
) -> None:
    upstream.respond("/refused", status=503, body=b"")
    before = tab.questions
    tab.page.evaluate(
        """() => {
          const again = () => { new WebSocket('/refused').onclose = () => setTimeout(again, 50); };
          again();
          const channel = new BroadcastChannel('vestibule:/auth');
          window.kept = setInterval(() => channel.postMessage('ended'), 50);
        }"""
    )
    assert stays(tab, 4_500)
    assert tab.questions == before + 1
    assert stays(tab, 3_000)
    assert tab.questions == before + 2


def test_a_question_that_nobody_answers_is_asked_again_more_and_more_slowly(
    context: BrowserContext, provider: FakeProvider, door: RunningDoor
) -> None:
    """The answer is lost where a proxy or the store fails; the old data must not stay for that reason."""
    tab = Watched(context.new_page())
    tab.page.clock.install()
    tab.open(f"{door.url}/?chart=3")
    lost = 0

    def lose(route: Route) -> None:
        nonlocal lost
        lost += 1
        route.fulfill(status=503) if lost % 2 else route.abort()

    context.route("**/auth/session", lose)
    context.clear_cookies(domain="localhost")
    tab.page.evaluate(FETCH)
    tab.page.wait_for_timeout(1_000)
    assert lost == 1
    for seconds, questions in ((5, 2), (10, 3), (20, 4), (40, 5), (60, 6), (60, 7)):
        tab.page.clock.fast_forward((seconds - 2) * 1000)
        assert stays(tab, 200)
        assert lost == questions - 1
        tab.page.clock.fast_forward(2_000)
        assert stays(tab, 200)
        assert lost == questions
    context.unroute("**/auth/session")
    tab.page.clock.fast_forward(60_000)
    expect(tab.page).to_have_url(at_sign_in(provider))


def test_a_tab_loads_again_when_somebody_else_is_signed_in_by_now(tab: Watched, context: BrowserContext) -> None:
    context.route("**/auth/session", lambda route: route.fulfill(json={"iss": "i", "sub": "bob"}))
    tab.page.evaluate("() => { window.alices = 1; new BroadcastChannel('vestibule:/auth').postMessage('ended'); }")
    tab.page.wait_for_function("window.alices === undefined")
    assert stays(tab, 100)


def test_a_tab_whose_session_was_revoked_is_not_signed_in_again_by_itself(
    tab: Watched, context: BrowserContext, door: RunningDoor
) -> None:
    tab.page.evaluate(OPENED, "/socket")
    door.do(door.app.bff.sessions.end_everybody(EndReason.REVOKED))
    expect(tab.page.get_by_text(SIGNED_OUT, exact=True)).to_be_visible()
    assert "return_to=%2F%3Fchart%3D3" in tab.page.url


def test_a_visitor_who_never_signed_in_is_sent_nowhere(context: BrowserContext, door: RunningDoor) -> None:
    visitor = Watched(context.new_page())
    visitor.open(f"{door.url}/open/")
    before = visitor.questions
    visitor.page.evaluate(FETCH)
    assert stays(visitor, 1_500)
    assert visitor.questions == before + 1


def test_a_sign_in_that_does_not_help_ends_in_a_notice_and_not_in_a_loop(
    context: BrowserContext, door: RunningDoor, tab: Watched, provider: FakeProvider
) -> None:
    answers = 0

    def answer(route: Route) -> None:
        nonlocal answers
        answers += 1
        route.fulfill(status=200 if answers % 2 else 401, json={"iss": "i", "sub": "s"})

    context.route("**/auth/session", answer)
    context.route("**/data", lambda route: route.fulfill(status=401, headers={"x-vestibule-refused": "login_required"}))
    context.add_init_script("window.addEventListener('load', () => setTimeout(() => fetch('/data'), 200))")
    provider.options = Options(auto_login="alice")
    try:
        tab.page.goto(f"{door.url}/?chart=3")
        expect(tab.page.get_by_role("alert")).to_contain_text("Your session has ended")
        asked = answers
        assert stays(tab, 6_000)
        assert answers == asked
    finally:
        provider.options = Options()


LOOK: Final = """async () => {
  const shape = (owner, name) => {
    const { value, ...rest } = Object.getOwnPropertyDescriptor(owner, name);
    return { ...rest, name: value.name, length: value.length, own: Reflect.ownKeys(value).map(String).sort(),
      isNative: /\\[native code\\]/.test(Function.prototype.toString.call(value)) };
  };
  const failure = (work) => {
    try { work(); return "none"; } catch (error) { return `${error.name}: ${error.message}`; }
  };
  const found = {};
  for (const name of ["WebSocket", "EventSource", "XMLHttpRequest", "fetch"]) found[name] = shape(window, name);
  found.send = shape(XMLHttpRequest.prototype, "send");
  class Own extends WebSocket { get mine() { return 1; } }
  const own = new Own("/socket", ["one"]);
  found.subclass = [own.mine, own instanceof Own, own instanceof WebSocket, own.constructor === Own, own.protocol];
  const socket = new WebSocket("/socket");
  found.socket = [socket.constructor === WebSocket, Object.getPrototypeOf(socket) === WebSocket.prototype,
    String(socket), Reflect.ownKeys(socket).length, WebSocket.OPEN, WebSocket.prototype.constructor === WebSocket,
    Object.keys(WebSocket.prototype).length, shape(WebSocket.prototype, "constructor").enumerable];
  const events = new EventSource("/cut");
  found.events = [events.constructor === EventSource, events instanceof EventSource, events.readyState];
  events.close();
  found.failures = [() => WebSocket("/x"), () => new WebSocket(), () => new WebSocket("ftp://x"), () => new fetch(),
    () => EventSource("/x"), () => XMLHttpRequest.prototype.send.call({})].map(failure);
  found.rejections = await new Promise((done) => {
    const seen = [];
    const all = new Map();
    const keep = (name, promise) => { all.set(promise, name); return promise; };
    window.addEventListener("unhandledrejection", (event) => { seen.push([all.get(event.promise), event.reason.name]);
      event.preventDefault(); });
    keep("left alone", fetch("http://127.0.0.1:1/"));
    keep("handled", fetch("http://127.0.0.1:1/")).catch(() => 0);
    keep("foreign", fetch.call({}, "/")).catch((error) => seen.push(error.message));
    setTimeout(() => done(seen.map(String).sort()), 1500);
  });
  const answer = fetch("/own-401");
  found.promise = [answer.constructor === Promise, Object.getPrototypeOf(answer) === Promise.prototype];
  const got = await answer;
  found.answer = [got instanceof Response, got.type, got.status, got.bodyUsed, got.body.locked, await got.text()];
  let reads = 0;
  await fetch({ toString() { reads += 1; return "/own-401"; } });
  found.reads = reads;
  const order = [];
  await new Promise((done) => {
    const request = new XMLHttpRequest();
    for (const kind of ["readystatechange", "load", "loadend"])
      request.addEventListener(kind, () => order.push(kind + request.readyState));
    request.onloadend = done;
    request.open("GET", "/own-401");
    request.send();
  });
  found.order = order;
  return found;
}"""


def test_the_pages_own_code_sees_the_same_with_the_script_and_without(
    tab: Watched, context: BrowserContext, upstream: RecordingUpstream
) -> None:
    plain = context.new_page()
    plain.goto(upstream.url + "/")
    through, without = tab.page.evaluate(LOOK), plain.evaluate(LOOK)
    assert through == without
    assert through["WebSocket"]["isNative"]
    assert through["rejections"]
    assert tab.page.locator("script[src='/auth/guard.js']").count() == 1
    assert stays(tab, 100)


def test_a_page_that_replaces_what_is_watched_gets_its_own(
    tab: Watched, door: RunningDoor, context: BrowserContext, provider: FakeProvider
) -> None:
    said = tab.page.evaluate(
        """async () => {
          const before = window.fetch;
          window.fetch = async (...all) => Object.assign(await before(...all), { mine: 1 });
          return [(await fetch('/own-401')).mine, window.fetch === before];
        }"""
    )
    assert said == [1, False]
    context.clear_cookies(domain="localhost")
    tab.page.evaluate("() => { fetch('/data'); }")
    expect(tab.page).to_have_url(at_sign_in(provider))
