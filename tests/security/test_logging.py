"""LG: what the log says about attacks, and what it must never contain."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
import structlog

from bff.settings.tables import LogSettings
from bff.stores.events import SessionChanged
from gateway.logs import configure_logging
from tests.fakes import FakeClock, FakeProvider, RecordingUpstream
from tests.front_door import KEY, api_route, page_route, provider_table
from tests.security.house import House, query_of
from tests.security.raw import connect, handshake, websocket_status

FOREIGN_AUDIENCE = "another-application"
LIBRARIES = (
    "httpx",
    "httpcore",
    "authlib",
    "asyncio",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "websockets",
    "jwt",
)


@pytest.fixture
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """Everything that every logger of the process writes, as a front door at level debug writes it."""
    sink = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    configure_logging(LogSettings(level="debug", format=getattr(request, "param", "json")), stream=sink)
    yield sink
    root.handlers[:], config = before[0], before[2]
    root.setLevel(before[1])
    structlog.configure(**config)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def loud_house(
    build_logged_house: Callable[..., House],
) -> House:
    return build_logged_house()


@pytest.fixture
def build_logged_house(
    log: io.StringIO, timed_house: Callable[..., House], provider: FakeProvider
) -> Callable[..., House]:
    """A house whose real log goes to `log` (the capturing of events is off)."""

    def build(**how: Any) -> House:
        how.setdefault("providers", {"corp": provider_table(provider, par="auto")})
        return timed_house(**how)

    return build


@pytest.fixture
def audit() -> list[Any]:
    """Events are not captured here: the test reads the lines that are written."""
    return []


def test_lg_1_no_secret_is_logged_at_any_level(
    log: io.StringIO, build_logged_house: Callable[..., House], provider: FakeProvider, clock: FakeClock
) -> None:
    secrets = drive_everything(build_logged_house(), clock)
    written = log.getvalue()
    assert written.count("\n") > 20, "the log was not captured"
    for name, values in secrets.items():
        for value in values:
            assert value not in written, f"{name} was logged"
            assert unquote(value) not in written, f"{name} was logged"
    assert f"meant for {FOREIGN_AUDIENCE}" in written, "an audience is no secret, and operators need its name"
    for library in ("httpx", "httpcore", "authlib"):
        assert f'"logger": "{library}' not in written


def drive_everything(house: House, clock: FakeClock) -> dict[str, list[str]]:
    """Sign-in, refresh, failures and sign-out; the secrets of all of it by kind."""
    provider, browser = house.provider, house.browser()
    pages = browser.walk(browser.get(f"{house.url}/deep?canary-of-the-page=1"))
    callback = dict(query_of(next(str(page.url) for page in pages if "/auth/callback" in str(page.url))))
    cookies = [cookie.value for cookie in browser.cookies.history if cookie.value]
    browser.fetch(f"{house.url}/api/x")
    browser.fetch(f"{house.url}/models/x")
    clock.advance(301)
    browser.fetch(f"{house.url}/api/refreshed?token=canary-in-a-query")
    provider.bend.token.raw(400, json={"error": "server_error", "error_description": "canary-of-the-provider"})
    clock.advance(301)
    browser.fetch(f"{house.url}/api/outage")
    provider.bend.token.reset()
    subprotocols = "streamlit, canary-xsrf, canary-session-id"
    websocket_status(house.door.port, handshake("/ws", house.host, cookie=cookies[-1], subprotocols=subprotocols))
    house.get_raw(
        "/page", "Authorization: Bearer canary-authorization", "X-Api-Key: canary-key", cookie="canary-cookie"
    )
    house.get_raw(f"/auth/callback/corp?code=canary-code&state={'c' * 43}&iss=canary-iss")
    house.get_raw("/auth/callback/corp?error=x&error_description=canary-description&state=" + "d" * 43)
    provider.bend.id_token.claims(lambda claims: {**claims, "aud": FOREIGN_AUDIENCE}, times=1)
    other = house.browser()
    other.walk(other.get(f"{house.url}/auth/login"))
    provider.send_backchannel_logout(
        f"{house.url}/auth/backchannel-logout/corp", token := provider.logout_token(sub="x")
    )
    browser.post(f"{house.url}/auth/logout")
    house.door.do(house.door.app.bff.sign_in.drain())
    forms = [dict(hit.form) for hit in provider.hits]
    return {
        "a token or code": [each for each in provider.issued if len(each) > 10],
        "a cookie": cookies + [cookie.value for cookie in other.cookies.history if cookie.value],
        "a session id": [value.partition(".")[0] for value in cookies if len(value) > 60],
        "state or code": [callback["state"], callback["code"], "c" * 43, "d" * 43],
        "verifier, nonce, challenge": [
            form[name]
            for form in forms
            for name in ("code_verifier", "nonce", "code_challenge", "state")
            if name in form
        ],
        "the client secret": [provider.client.client_secret, KEY],
        "a logout token": [token],
        "a canary": ["canary"],
        "a record name": list(house.store.sessions),
    }


def test_lg_1_this_test_would_notice_a_logged_secret(log: io.StringIO, loud_house: House) -> None:
    structlog.get_logger("vestibule.test").info("seen", value="canary")
    logging.getLogger("vestibule.other").debug("canary-of-the-library")
    assert log.getvalue().count("canary") == 2


SECRET_ADDRESSES = (
    "/_stcore/upload_file/canary-session/canary-file",
    "/base/_stcore/upload_file/canary-session/canary-file?canary=1",
    "/_stcore/%75pload_file/canary-session/canary-file",
    "/_stcore/%2575pload_file/canary-session/canary-file",
    "/_stcore%2Fupload_file%2Fcanary-session%2Fcanary-file",
    "/_stcore//upload_file/./canary-session/canary-file",
    "/_STCORE/UPLOAD_FILE/canary-session/canary-file",
    "/media/canary.csv",
    "/%6Dedia/canary.csv",
    "/media;x/canary.csv",
    "/api/media/canary.csv",
    "/dead/media/canary.csv",
    "/nowhere/media/canary.csv",
    "/auth/kit/state/canary",
    "/auth/media/canary",
)


@pytest.mark.parametrize("log", ["json", "console"], indirect=True)
def test_lg_1_an_address_that_gives_access_is_not_logged(
    log: io.StringIO, build_logged_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    dead = page_route("http://127.0.0.1:9", id="dead", path="/dead")
    house = build_logged_house(routes=[api_route(upstream), dead, page_route(upstream)])
    cookie = house.session_cookie(house.sign_in())
    upstream.respond("/media/canary.csv", raw=b"HTTP/1.1 200 OK\r\nBroken\r\n\r\n", close=True)
    asked = 0
    for address in SECRET_ADDRESSES:
        for who in (cookie, "", "canary-cookie"):
            for method, *headers in (("GET",), ("PUT",), ("GET", "Host: canary.example"), ("GET", "Referer: canary")):
                lines = [*headers, "Sec-Fetch-Site: same-origin", "X-Vestibule-Kit: canary"][: 3 if not who else 2]
                house.get_raw(address, *lines, method=method, cookie=who)
                asked += 1
    for path in ("/_stcore/stream", "/media/canary", "/dead/media/canary", "/dead/_stcore/stream?canary"):
        for origin in ("", "https://canary.example"):
            request = handshake(
                path, house.host, origin=origin, cookie=cookie, subprotocols="streamlit, canary, canary"
            )
            websocket_status(house.door.port, request)
            asked += 1
    written = log.getvalue()
    assert written.count("ms=") + written.count('"ms"') >= asked * 0.5, "most of them were logged"
    assert "upload_file/*" in written
    assert "canary" not in written.lower()


def test_lg_1_settings_and_objects_hide_their_secrets(house: House) -> None:
    session = house.session_of(house.sign_in())
    shown = repr(session) + repr(house.door.settings) + str(house.door.settings) + repr(house.door.app.bff.sign_in)
    shown += house.door.settings.model_dump_json()
    for secret in (*house.provider.issued, house.provider.client.client_secret, KEY):
        assert secret not in shown


INJECTIONS: dict[str, bytes] = {
    "path": b"GET /page%0d%0aforged HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "path with ANSI": b"GET /page%1b[31mred HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "path with U+2028": b"GET /page%e2%80%a8forged HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "raw bytes in the path": b"GET /page\xe2\x80\xa8\x85forged HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "user agent": b"GET /page HTTP/1.1\r\nHost: {host}\r\nUser-Agent: a\x1b[31m\x85b\r\n\r\n",
    "host": b"GET /page HTTP/1.1\r\nHost: {host}\x1b\r\n\r\n",
    "method": b"G\x1bT /page HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "header name": b"GET /page HTTP/1.1\r\nHost: {host}\r\nX\x1b: 1\r\n\r\n",
    "request id": b"GET /page HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: forged\x1bforged\r\n\r\n",
    "forwarded for": b"GET /page HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 1.1.1.1\x1b, forged\r\n\r\n",
    "provider": b"GET /auth/callback/a%0aforged?state=x HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "error": b"GET /auth/callback/corp?error=x%0aforged&state=" + b"e" * 43 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
}


@pytest.mark.parametrize("log", ["json", "console"], indirect=True)
def test_lg_2_one_event_is_one_line(log: io.StringIO, build_logged_house: Callable[..., House], request: Any) -> None:
    house = build_logged_house(server={"trusted_proxies": ["127.0.0.0/8"]})
    for attack in INJECTIONS.values():
        house.raw(attack.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    browser = house.browser()
    house.provider.bend.id_token.claims(lambda claims: {**claims, "name": "a\nforged", "sid": "x\x1b[31m"})
    browser.walk(browser.get(f"{house.url}/auth/login"))
    written = log.getvalue()
    lines = written.splitlines()
    assert len(lines) == written.count("\n")
    assert len(lines) >= len(INJECTIONS)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", written)
    for line in lines:
        if request.node.callspec.params["log"] == "json":
            event = json.loads(line)
            assert {"event", "level", "timestamp", "logger"} <= event.keys()
        else:
            assert re.match(r"\d\d:\d\d:\d\d (info|warning|error|debug) ", line)


PROBES = [
    "/docs",
    "/redoc",
    "/openapi.json",
    "/metrics",
    "/healthz",
    "/readyz",
    "/admin/sessions",
    "/admin/routes",
    "/debug",
    "/auth/docs",
    "/auth/openapi.json",
    "/auth/redoc",
    "/auth/metrics",
    "/auth/",
    "/auth/kit/token",
    "/auth/kit/exchange",
    "/auth/kit/state/x",
    "/auth/sessions",
    "/.env",
    "/.git/config",
    "/server-status",
    "/auth/../docs",
    "/auth/callback/",
    "/auth/backchannel-logout/corp",
    "/auth/nothing%zz",
]
TELLTALE = re.compile(
    rb"Traceback|File \"|\.py\b|site-packages|python|uvicorn|starlette|fastapi|httptools|vestibule/|openapi\"|swagger",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_lg_4_diagnostics_are_not_public_and_errors_show_no_details(
    shared_probe: House, path: str, method: str
) -> None:
    house = shared_probe
    answer = house.get_raw(path, "Sec-Fetch-Mode: cors", "Accept: */*", method=method)
    assert answer.status in range(400, 500)
    assert not TELLTALE.search(answer.received)
    assert not answer.all("server")
    assert house.upstream.url.encode() not in answer.received
    assert answer.header("x-request-id") or answer.status == 400
    assert house.upstream.requests == []


@pytest.fixture
def shared_probe(shared_house: House, provider: FakeProvider, upstream: Any) -> House:
    return House(provider, upstream, shared_house.door, shared_house.store)


def test_lg_4_an_unexpected_error_shows_only_a_request_id(shared_probe: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house = shared_probe

    async def explode(*_: object, **__: object) -> None:
        raise RuntimeError("canary: the inner address is 10.0.0.7")

    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    house.door.do(house.store.publish(SessionChanged(house.session_of(browser).name)))
    monkeypatch.setattr(house.store, "load", explode)
    for path in ("/page", "/api/x", "/auth/session", "/auth/account"):
        answer = house.get_raw(path, "Sec-Fetch-Site: same-origin", cookie=cookie)
        assert answer.status == 500
        assert b"canary" not in answer.received
        assert b"10.0.0.7" not in answer.received
        assert not TELLTALE.search(answer.received)
        body = json.loads(answer.body)
        assert body["code"] == "internal_error"
        assert body["request_id"] == answer.header("x-request-id")
    status = websocket_status(house.door.port, handshake("/ws", house.host, cookie=cookie))
    assert status == 500
    monkeypatch.undo()
    house.close_browsers()


def test_lg_4_the_error_page_does_not_name_an_upstream_that_is_down(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[api_route("http://127.0.0.1:9", auth="public")])
    answer = house.get_raw("/api/secret-path?secret-query=1", "Accept: application/json")
    assert answer.status == 502
    for told in (b"127.0.0.1", b":9", b"refused", b"Errno", b"secret-path", b"secret-query"):
        assert told not in answer.received
    assert answer.header("x-request-id").encode() in answer.body


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_lg_4_error_answers_do_not_repeat_input(shared_probe: House, accept: str) -> None:
    house = shared_probe
    marker = "canary<script>"
    for path in (f"/auth/callback/{marker}", f"/auth/callback/corp?state={marker}", f"/auth/login?prompt={marker}"):
        answer = house.get_raw(path, f"Accept: {accept}", f"User-Agent: {marker}", f"Referer: {marker}")
        assert b"canary" not in answer.body
        assert answer.status in range(400, 500)


def test_lg_1_a_half_sent_request_is_not_logged(log: io.StringIO, loud_house: House) -> None:
    with connect(loud_house.door.port) as client:
        client.sendall(b"GET /page?canary HTTP/1.1\r\nAuthorization: canary\r\nBroken\r\n\r\n")
        client.recv(4096)
    assert "canary" not in log.getvalue()
    assert "head_malformed" in log.getvalue()


@pytest.mark.parametrize("path", ["/auth/callback/corp?state=x", "/api/%2e%2e/x"], ids=["the sign-in", "a route"])
def test_the_access_log_has_the_error_code_that_the_person_saw(log: io.StringIO, loud_house: House, path: str) -> None:
    code = json.loads(loud_house.get_raw(path, "Sec-Fetch-Mode: cors").body)["code"]
    deadline = time.monotonic() + 10
    while not (found := re.findall(r'{.*"logger": "vestibule.access".*', log.getvalue())):
        assert time.monotonic() < deadline, "no line in the access log"
        time.sleep(0.01)  # the line is written after the answer
    assert [json.loads(line)["code"] for line in found] == [code]
