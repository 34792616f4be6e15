"""LG-3: each thing that happens leaves exactly one event that says what, to whom, from where, and nothing secret."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import httpx
import pytest
import uvicorn

from bff.audit import masked
from bff.errors import StoreUnavailable
from bff.sessions.record import Session
from bff.stores.events import SessionChanged
from gateway.management.app import create_management_app
from tests.fakes import CookieClient, FakeClock, FakeProvider, RecordingUpstream, bind_socket, is_grant
from tests.front_door import KEY, api_route, page_route
from tests.security.house import House, location_query
from tests.security.kit_calls import KIT_CLIENTS, ask_token, call, fetch_code, fetch_handle, kit_headers, redeem
from tests.security.raw import RawAnswer, handshake, open_websocket
from tests.security.rejection import Answer, status_of

ADDRESS = "127.0.0.1"
ADMIN_TOKEN = "unit-test-admin-token-0123456789"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
READ = "Sec-Fetch-Site: same-origin"
OTHER_HOST = b"GET /page HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
TRUST = ssl.create_default_context()
Event = MutableMapping[str, Any]


def only_event(house: House, act: Callable[[], Any], event: str, *, reason: str | None = None) -> tuple[Any, Event]:
    """Do `act`; its answer, and the one audit event that it left: called `event`, for `reason`, without a secret."""
    noted = len(house.audit)
    answer = act()
    house.door.do(house.door.app.bff.tokens.drain())
    left = [each for each in house.audit[noted:] if each.get("audit")]
    assert [(each["event"], each.get("reason")) for each in left] == [(event, reason)], left
    told = repr(left)
    secrets = [*house.provider.issued, house.provider.client.client_secret, KEY, ADMIN_TOKEN, *house.store.sessions]
    secrets += [cookie.value for browser in house.browsers for cookie in browser.cookies.history]
    secrets += [client["secret"] for client in KIT_CLIENTS.values()]
    for secret in filter(lambda text: len(text) > 10, secrets):
        assert secret not in told, f"logged: {secret[:60]!r}"
    return answer, left[0]


def assert_whom(event: Event, session: Session) -> None:
    """Person and session, as hashes that the account page and the operators' commands show too."""
    assert event["session"] == masked(session.name)
    assert event["subject"] == masked(session.identity.sub)
    assert event["iss"] == session.identity.iss
    assert event["provider"] == "corp"


def assert_where(event: Event, answer: Answer | None = None) -> None:
    """Address of the client, and the request's number as the client has it."""
    assert event["client"] == ADDRESS
    if answer is not None:
        headers = answer.header("x-request-id") if isinstance(answer, RawAnswer) else answer.headers["x-request-id"]
        assert event["request_id"] == headers


def test_lg_3_a_sign_in_leaves_its_start_and_its_end(house: House) -> None:
    browser = house.browser()
    started, event = only_event(house, lambda: house.start_login(browser), "login_started")
    assert_where(event, started)
    back = browser.follow(started).headers["location"]
    answer, event = only_event(house, lambda: browser.get(back), "login_ok")
    assert_whom(event, house.session_of(browser))
    assert_where(event, answer)


@pytest.mark.parametrize("error", ["access_denied", "server_error", "temporarily_unavailable", "login_required"])
def test_lg_3_a_no_of_the_provider_is_one_failed_sign_in(house: House, error: str) -> None:
    browser = house.browser()
    state = location_query(house.start_login(browser))["state"]
    url = f"{house.url}/auth/callback/corp"
    params = {"error": error, "state": state, "iss": house.provider.issuer}
    answer, event = only_event(house, lambda: browser.get(url, params=params), "login_failed", reason=error)
    assert_where(event, answer)
    assert state not in repr(event)


FAILED_LOGINS: dict[str, tuple[str, Callable[[FakeProvider], None]]] = {
    "audience": ("id_token_aud", lambda it: it.bend.id_token.claims(lambda claims: {**claims, "aud": "other"})),
    "refused": ("token_refused", lambda it: it.bend.token.raw(400, json={"error": "invalid_grant"})),
    "outage": ("provider_error", lambda it: it.bend.token.raw(500)),
    "userinfo": ("userinfo_refused", lambda it: it.bend.userinfo.raw(403)),
}


@pytest.mark.parametrize("case", FAILED_LOGINS)
def test_lg_3_a_sign_in_that_fails_leaves_its_reason(house: House, case: str) -> None:
    reason, bend = FAILED_LOGINS[case]
    browser = house.browser()
    url = house.callback_url(browser)
    bend(house.provider)
    answer, event = only_event(house, lambda: browser.get(url), "login_failed", reason=reason)
    assert_where(event, answer)
    assert event["provider"] == "corp"


@pytest.mark.parametrize(("form", "reason"), [({}, "by_its_person"), ({"everywhere": "1"}, "everywhere")])
def test_lg_3_a_sign_out_is_one_event(house: House, form: dict[str, str], reason: str) -> None:
    browser = house.sign_in()
    session = house.session_of(browser)
    url = f"{house.url}/auth/logout"
    answer, event = only_event(house, lambda: browser.post(url, data=form), "logout", reason=reason)
    assert_whom(event, session)
    assert_where(event, answer)


def post_logout(house: House, token: str) -> httpx.Response:
    url = f"{house.url}/auth/backchannel-logout/corp"
    return httpx.post(url, data={"logout_token": token}, verify=TRUST)


def test_lg_3_a_sign_out_by_the_back_channel_is_one_event(house: House) -> None:
    session = house.session_of(house.sign_in())
    token = house.provider.logout_token(sid=session.sid)
    answer, event = only_event(house, lambda: post_logout(house, token), "backchannel_logout", reason="ended")
    assert_whom(event, session)
    assert_where(event, answer)
    token = house.provider.logout_token(sid="never-seen")
    answer, event = only_event(house, lambda: post_logout(house, token), "backchannel_logout", reason="no_session")
    assert_where(event, answer)


def test_lg_3_a_logout_token_that_is_refused_is_one_event(house: House) -> None:
    token = house.provider.logout_token(sub="alice", aud="other")
    answer, event = only_event(house, lambda: post_logout(house, token), "logout_failed", reason="logout_token_aud")
    assert_where(event, answer)
    assert token not in repr(event)


def test_lg_3_a_refresh_is_one_event(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.sign_in()
    clock.advance(301)
    answer, event = only_event(house, lambda: browser.fetch(f"{house.url}/api/x"), "refresh_ok")
    assert_whom(event, house.session_of(browser))
    assert_where(event, answer)


@pytest.mark.parametrize(("error", "seconds", "status"), [("invalid_grant", 301, 401), ("server_error", 290, 200)])
def test_lg_3_a_refresh_that_fails_is_one_event(
    timed_house: Callable[..., House], clock: FakeClock, error: str, seconds: float, status: int
) -> None:
    house = timed_house()
    browser = house.sign_in()
    session = house.session_of(browser)
    house.provider.bend.token.raw(400, json={"error": error}, when=is_grant("refresh_token"))
    clock.advance(seconds)
    answer, event = only_event(house, lambda: browser.fetch(f"{house.url}/api/x"), "refresh_failed", reason=error)
    assert answer.status_code == status
    assert_whom(event, session)
    assert_where(event, answer)


def test_lg_3_a_session_that_its_person_ends_is_one_event(house: House) -> None:
    browser, other = house.sign_in(), house.sign_in()
    session = house.session_of(other)
    url = f"{house.url}/auth/sessions/{masked(session.name)}"
    answer, event = only_event(
        house, lambda: browser.fetch(url, method="DELETE"), "session_ended", reason="by_its_person"
    )
    assert answer.status_code == 204
    assert_whom(event, session)
    assert_where(event, answer)


@pytest.fixture
def managed_house(build_house: Callable[..., House]) -> Iterator[tuple[House, str]]:
    """A house, and the address of its management listener."""
    house = build_house(secrets={"admin_token": ADMIN_TOKEN})
    sock = bind_socket(ADDRESS)
    app = create_management_app(house.door.app)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))

    async def serve() -> asyncio.Task[None]:
        return asyncio.create_task(server.serve(sockets=[sock]))

    async def end() -> None:
        server.should_exit = True
        await serving

    serving = house.door.do(serve())
    yield house, f"http://{ADDRESS}:{sock.getsockname()[1]}"
    house.door.do(end())
    sock.close()


@pytest.mark.parametrize(
    ("order", "reason"), [({"sub": "alice"}, "revoke"), ({"all": "yes"}, "revoke_all")], ids=["a person", "everybody"]
)
def test_lg_3_an_administrators_end_of_sessions_is_one_event(
    managed_house: tuple[House, str], order: dict[str, str], reason: str
) -> None:
    house, url = managed_house
    browser = house.sign_in()
    session = house.session_of(browser)

    def revoke() -> httpx.Response:
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        return httpx.post(f"{url}/admin/revoke", json=order, headers=headers, verify=TRUST)

    answer, event = only_event(house, revoke, "admin_action", reason=reason)
    assert answer.status_code == 200
    if "sub" in order:
        assert_whom(event, session)
    assert_where(event, answer)
    assert not house.is_signed_in(browser)


ADMIN_HEADERS = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.mark.parametrize(
    ("order", "whom"),
    [
        ({"sub": "canary-sub"}, masked("canary-sub")),
        ({"sid": "canary-sid"}, f"sid {masked('canary-sid')}"),
        ({"sub": "canary-sub", "session": "0123456789ab"}, masked("canary-sub")),
    ],
    ids=["a person", "a provider session", "one session"],
)
def test_lg_3_an_administrators_revoke_that_finds_nobody_is_one_event(
    managed_house: tuple[House, str], order: dict[str, str], whom: str
) -> None:
    """It ends sign-ins under way: who was kept out, and by which request, must be found again."""
    house, url = managed_house

    def revoke() -> httpx.Response:
        return httpx.post(f"{url}/admin/revoke", json=order, headers=ADMIN_HEADERS, verify=TRUST)

    answer, event = only_event(house, revoke, "admin_action", reason="revoke")
    assert answer.json() == {"ended": 0}
    assert event["detail"] == f"no live session of {whom}"
    assert "canary" not in repr(event)
    assert_where(event, answer)


@pytest.mark.parametrize(("sub", "number"), [("alice", 1), ("canary-sub", 0)])
def test_lg_3_an_administrators_look_up_is_one_event(managed_house: tuple[House, str], sub: str, number: int) -> None:
    house, url = managed_house
    house.sign_in()

    def look_up() -> httpx.Response:
        query = {"sub": sub}
        return httpx.get(f"{url}/admin/sessions", params=query, headers=ADMIN_HEADERS, verify=TRUST)

    answer, event = only_event(house, look_up, "admin_action", reason="look_up")
    assert len(answer.json()["sessions"]) == number
    assert event["detail"] == f"{number} of {masked(sub)}"
    assert sub not in repr({**event, "iss": ""})
    assert_where(event, answer)


@pytest.mark.parametrize(
    "body", [b"[" * 15_000, b'{"sub":"\\ud800"}', b"[1]", b'{"sub":1}', b"\xff", b"{", b'{"sub":""}'], ids=repr
)
def test_lg_4_an_order_that_cannot_be_read_is_refused(managed_house: tuple[House, str], body: bytes) -> None:
    _, url = managed_house
    answer = httpx.post(f"{url}/admin/revoke", content=body, headers=ADMIN_HEADERS, verify=TRUST)
    assert (answer.status_code, answer.json()["code"]) == (400, "admin_request")


@pytest.mark.parametrize("query", ["sub=%ED%A0%80", "sub=%FF", "sub=\xff", "sub="])
def test_lg_4_a_look_up_that_makes_no_sense_is_no_fault(managed_house: tuple[House, str], query: str) -> None:
    _, url = managed_house
    answer = httpx.get(f"{url}/admin/sessions?{query}", headers=ADMIN_HEADERS, verify=TRUST)
    assert answer.status_code in (200, 400)


def test_ready_tells_of_a_provider_that_fell_silent(managed_house: tuple[House, str]) -> None:
    house, url = managed_house

    def state() -> str:
        answer = httpx.get(f"{url}/readyz", verify=TRUST)
        assert (answer.status_code, len(answer.headers["x-request-id"])) == (200, 24)
        return str(answer.json()["parts"]["provider:corp"])

    browser = house.sign_in()
    assert state() == "ok"
    house.provider.bend.token.drop()
    browser.walk(browser.get(house.callback_url(browser)))
    assert state() == "did not answer last time"
    house.provider.bend.reset()
    house.sign_in()
    assert state() == "ok"


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer canary-admin-token", f"Basic {ADMIN_TOKEN}"])
def test_lg_3_a_refused_admin_token_is_one_event(managed_house: tuple[House, str], token: str) -> None:
    house, url = managed_house
    headers = {"Authorization": token} if token else {}

    def revoke() -> httpx.Response:
        return httpx.post(f"{url}/admin/revoke", json={"all": "yes"}, headers=headers, verify=TRUST)

    answer, event = only_event(house, revoke, "request_refused", reason="admin_token")
    assert answer.status_code == 401
    assert_where(event, answer)
    assert "canary" not in repr(event)


def test_lg_3_a_person_who_may_not_is_one_event(house: House) -> None:
    browser = house.sign_in("bob")
    answer, event = only_event(
        house, lambda: browser.get(f"{house.url}/admin/x"), "access_denied", reason="require.roles_any"
    )
    assert answer.status_code == 403
    assert event["route"] == "admin"
    assert_whom(event, house.session_of(browser))
    assert_where(event, answer)


REFUSED: dict[str, tuple[str, Callable[[House, CookieClient], Answer]]] = {
    "csrf": ("csrf_origin", lambda house, browser: cross_site(house, browser, "/api/x")),
    "csrf header": ("csrf_missing", lambda house, browser: cross_site(house, browser, "/strict/x")),
    "csrf at the sign-out": ("csrf_origin", lambda house, browser: cross_site(house, browser, "/auth/logout")),
    "origin of a socket": ("ws_origin", lambda house, browser: foreign_socket(house, browser)),
    "host": ("unknown_host", lambda house, _: RawAnswer.parse(house.raw(OTHER_HOST))),
}


def cross_site(house: House, browser: CookieClient, path: str) -> RawAnswer:
    lines = ("Sec-Fetch-Site: cross-site", "Origin: https://evil.example", "Content-Length: 0")
    return house.get_raw(path, *lines, method="POST", cookie=house.session_cookie(browser))


def foreign_socket(house: House, browser: CookieClient) -> RawAnswer:
    cookie = house.session_cookie(browser)
    request = handshake("/_stcore/stream", house.host, origin="https://evil.example", cookie=cookie)
    answer, client = open_websocket(house.door.port, request)
    client.close()
    return answer


@pytest.mark.parametrize("case", REFUSED)
def test_lg_3_a_request_that_breaks_a_rule_is_one_event(house: House, case: str) -> None:
    reason, act = REFUSED[case]
    browser = house.sign_in()
    answer, event = only_event(house, lambda: act(house, browser), "request_refused", reason=reason)
    assert status_of(answer) in (403, 421)
    assert_where(event, answer)


def test_lg_3_a_target_elsewhere_is_replaced_and_never_written_down(house: House) -> None:
    noted = len(house.audit)
    answer = house.start_login(house.browser(), return_to="https://evil.example/canary")
    left = [each for each in house.audit[noted:] if each.get("audit")]
    assert [(each["event"], each.get("reason")) for each in left] == [
        ("request_refused", "return_to_replaced"),
        ("login_started", None),
    ]
    for event in left:
        assert_where(event, answer)
        assert "evil" not in repr(event)


@pytest.mark.parametrize("target", ["/api/x", "/_stcore/stream", "/auth/logout", "/auth%2faccount", "/models/x?a=b"])
def test_lg_3_a_local_target_that_is_no_page_is_replaced_without_a_word(house: House, target: str) -> None:
    """Whoever opens such an address signed out is sent there by ourselves; nothing is wrong with that."""
    browser = house.browser()
    noted = len(house.audit)
    browser.walk(house.start_login(browser, return_to=target))
    left = [(each["event"], each.get("reason")) for each in house.audit[noted:] if each.get("audit")]
    assert left == [("login_started", None), ("login_ok", None)]


SPOOFED = ["X-Auth-Request-User", "x_forwarded_user", "X-Forwarded.Email", "Remote-User", "X-Vestibule-Assertion"]
SPOOFED += ["Impersonate-User", "X_CONSUMER_Username", "X-Scope-OrgID"]


@pytest.mark.parametrize("name", SPOOFED)
def test_lg_3_a_client_that_names_itself_is_one_event_a_minute(build_house: Callable[..., House], name: str) -> None:
    house = build_house()
    cookie = house.session_cookie(house.sign_in())
    answer, event = only_event(
        house,
        lambda: house.get_raw("/page", READ, f"{name}: canary", cookie=cookie),
        "request_refused",
        reason="identity_headers_removed",
    )
    assert answer.status == 200, "removed, not refused"
    assert event["route"] == "dashboards"
    assert_where(event, answer)
    assert "canary" not in repr(event)
    noted = len(house.audit)
    for _ in range(20):
        house.get_raw("/page", READ, f"{name}: canary", cookie=cookie)
    assert [each for each in house.audit[noted:] if each.get("audit")] == []


def test_lg_3_what_a_trusted_proxy_adds_and_what_browsers_send_is_none(build_house: Callable[..., House]) -> None:
    house = build_house(server={"trusted_proxies": ["127.0.0.1/32"]})
    cookie = house.session_cookie(house.sign_in())
    noted = len(house.audit)
    house.get_raw("/page", READ, "X-Forwarded-User: alice", "X-Forwarded-For: 192.0.2.7", cookie=cookie)
    assert [each for each in house.audit[noted:] if each.get("audit")] == []
    house = build_house()
    cookie = house.session_cookie(house.sign_in())
    noted = len(house.audit)
    house.get_raw("/page", READ, "X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.7", "Accept: */*", cookie=cookie)
    assert [each for each in house.audit[noted:] if each.get("audit")] == []


@pytest.mark.parametrize("path", ["/page", "/auth/session", "/auth/login"])
def test_lg_3_two_session_cookies_are_one_event(house: House, path: str) -> None:
    value = house.session_cookie(house.sign_in())
    noted = len(house.audit)
    answer = house.get_raw(path, f"Cookie: vestibule={value}; vestibule={value}x", READ)
    left = [each for each in house.audit[noted:] if each["event"] == "duplicate_cookie"]
    assert [each["reason"] for each in left] == ["session_cookie"]
    assert_where(left[0], answer)
    assert value not in repr(left)


@pytest.fixture
def kit_house(build_house: Callable[..., House]) -> House:
    return build_house(kit_clients=KIT_CLIENTS)


def of_app_b(house: House, handle: str) -> httpx.Response:
    return call(house, "/models/x", method="GET", headers=kit_headers("app-b", handle=handle))


KIT_REFUSALS: dict[str, tuple[str, Callable[[House, str], httpx.Response]]] = {
    "credential at a route": (
        "kit_credential",
        lambda house, _: call(house, "/api/x", method="GET", headers={"X-Vestibule-Kit": "app-a:canary"}),
    ),
    "credential at the kit's own": (
        "kit_credential",
        lambda house, _: call(house, "token", headers={"X-Vestibule-Kit": "app-a:canary", "X-Vestibule-Session": "x"}),
    ),
    "handle of another": ("kit_handle", lambda house, handle: of_app_b(house, handle)),
    "audience": ("kit_audience", lambda house, handle: ask_token(house, handle, "other-api")),
    "cookie beside": (
        "kit_with_cookie",
        lambda house, handle: call(
            house, "/api/x", method="GET", headers={**kit_headers(handle=handle), "Cookie": "vestibule=x"}
        ),
    ),
}


@pytest.mark.parametrize("case", KIT_REFUSALS)
def test_lg_3_an_application_that_may_not_is_one_event(kit_house: House, case: str) -> None:
    reason, act = KIT_REFUSALS[case]
    handle, _ = fetch_handle(kit_house)
    answer, event = only_event(kit_house, lambda: act(kit_house, handle), "kit_refused", reason=reason)
    assert answer.status_code in (400, 401, 403)
    assert_where(event, answer)
    assert handle not in repr(event)
    assert "canary" not in repr(event)


@pytest.mark.parametrize(("client", "reason"), [("app-a", "kit_code_replayed"), ("app-b", "kit_code_foreign")])
def test_lg_3_a_one_time_code_in_the_wrong_hands_is_one_event(kit_house: House, client: str, reason: str) -> None:
    code = fetch_code(kit_house)
    if client == "app-a":
        assert redeem(kit_house, code.value).status_code == 200
    answer, event = only_event(
        kit_house, lambda: redeem(kit_house, code.value, client=client), "kit_refused", reason=reason
    )
    assert answer.status_code == 400
    assert event["detail"] == client
    assert code.value not in repr(event)


def test_lg_3_a_refused_token_exchange_is_one_event(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    routes = [api_route(upstream, token="exchange", exchange={"audience": "api-one"}), page_route(upstream)]
    house = build_house(routes=routes)
    browser = house.sign_in()
    house.provider.bend.token.raw(400, json={"error": "invalid_target"}, when=is_grant(EXCHANGE))
    answer, event = only_event(
        house, lambda: browser.fetch(f"{house.url}/api/x"), "upstream_failed", reason="token_exchange"
    )
    assert event["detail"] == "invalid_target"
    assert_where(event, answer)


def test_lg_3_too_many_sign_ins_under_way_are_one_event(build_house: Callable[..., House]) -> None:
    house = build_house(limits={"pending_logins_per_address": 1})
    house.start_login(house.browser())
    again = house.browser()
    answer, event = only_event(house, lambda: house.start_login(again), "limit_reached", reason="login_limit")
    assert answer.status_code == 503
    assert_where(event, answer)


def test_lg_3_too_many_sockets_are_one_event(build_house: Callable[..., House]) -> None:
    house = build_house(limits={"websockets_per_session": 1})
    request = handshake("/_stcore/stream", house.host, cookie=house.session_cookie(house.sign_in()))
    first, client = open_websocket(house.door.port, request)
    assert first.status == 101

    def second() -> RawAnswer:
        answer, other = open_websocket(house.door.port, request)
        other.close()
        return answer

    answer, event = only_event(house, second, "limit_reached", reason="websocket_limit")
    client.close()
    assert answer.status == 503
    assert_where(event, answer)


@pytest.mark.parametrize("path", ["/page", "/api/x", "/auth/session"])
def test_lg_3_a_store_that_fails_is_one_event(house: House, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    browser = house.sign_in()
    cookie, session = house.session_cookie(browser), house.session_of(browser)

    async def unavailable(*_: object) -> None:
        raise StoreUnavailable(detail="load")

    house.door.do(house.store.publish(SessionChanged(session.name)))
    monkeypatch.setattr(house.store, "load", unavailable)
    answer, event = only_event(
        house, lambda: house.get_raw(path, READ, cookie=cookie), "store_failed", reason="store_unavailable"
    )
    assert answer.status == 503
    assert_where(event, answer)


def test_lg_3_a_provider_that_fails_is_one_event(build_house: Callable[..., House]) -> None:
    with FakeProvider(auto_login="alice") as gone:
        house = build_house(gone)
    answer, event = only_event(
        house, lambda: house.start_login(house.browser()), "provider_failed", reason="provider_unreachable"
    )
    assert answer.status_code == 503
    assert_where(event, answer)


def test_lg_3_an_upstream_that_fails_is_one_event(build_house: Callable[..., House]) -> None:
    house = build_house(routes=[api_route("http://127.0.0.1:9", auth="public")])
    answer, event = only_event(
        house, lambda: house.get_raw("/api/canary", READ), "upstream_failed", reason="upstream_connect"
    )
    assert answer.status == 502
    assert_where(event, answer)
    assert "canary" not in repr(event)
