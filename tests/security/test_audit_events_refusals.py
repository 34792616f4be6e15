"""LG: each request and call that breaks a rule is one line of the audit log."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.fakes import CookieClient
from tests.security.audit_log import READ, assert_where, assert_whom, only_event
from tests.security.house import House
from tests.security.kit_calls import KIT_CLIENTS, ask_token, call, fetch_code, fetch_handle, kit_headers, redeem
from tests.security.raw import RawAnswer, handshake, open_websocket
from tests.security.rejection import Answer, status_of

OTHER_HOST = b"GET /page HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"


def test_lg_3_a_person_without_permission_is_one_event(house: House) -> None:
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


def test_lg_3_a_return_target_on_another_site_is_one_event_without_the_target(house: House) -> None:
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
def test_lg_3_a_local_return_target_that_is_not_a_page_is_no_event(house: House, target: str) -> None:
    """If somebody without a session opens such an address, we send them there ourselves. This is not an attack."""
    browser = house.browser()
    noted = len(house.audit)
    browser.walk(house.start_login(browser, return_to=target))
    left = [(each["event"], each.get("reason")) for each in house.audit[noted:] if each.get("audit")]
    assert left == [("login_started", None), ("login_ok", None)]


SPOOFED = ["X-Auth-Request-User", "x_forwarded_user", "X-Forwarded.Email", "Remote-User", "X-Vestibule-Assertion"]
SPOOFED += ["Impersonate-User", "X_CONSUMER_Username", "X-Scope-OrgID"]


@pytest.mark.parametrize("name", SPOOFED)
def test_lg_3_identity_headers_of_a_client_are_one_event_a_minute(build_house: Callable[..., House], name: str) -> None:
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


def test_lg_3_headers_of_a_trusted_proxy_or_a_browser_are_no_event(build_house: Callable[..., House]) -> None:
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
def test_lg_3_a_kit_client_without_permission_is_one_event(kit_house: House, case: str) -> None:
    reason, act = KIT_REFUSALS[case]
    handle, _ = fetch_handle(kit_house)
    answer, event = only_event(kit_house, lambda: act(kit_house, handle), "kit_refused", reason=reason)
    assert answer.status_code in (400, 401, 403)
    assert_where(event, answer)
    assert handle not in repr(event)
    assert "canary" not in repr(event)


@pytest.mark.parametrize(("client", "reason"), [("app-a", "kit_code_replayed"), ("app-b", "kit_code_foreign")])
def test_lg_3_a_one_time_code_used_by_the_wrong_client_is_one_event(kit_house: House, client: str, reason: str) -> None:
    code = fetch_code(kit_house)
    if client == "app-a":
        assert redeem(kit_house, code.value).status_code == 200
    answer, event = only_event(
        kit_house, lambda: redeem(kit_house, code.value, client=client), "kit_refused", reason=reason
    )
    assert answer.status_code == 400
    assert event["detail"] == client
    assert code.value not in repr(event)
