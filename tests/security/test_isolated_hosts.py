"""Several hosts at one front door: a session belongs to one, and pages of the others are another site (CK, CS, WS)."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import CookieClient, RecordingUpstream
from tests.front_door import KIT_SECRET, api_route, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.kit_calls import BINDING, KIT_CLIENTS, fetch_code, kit_headers
from tests.security.raw import handshake, websocket_status
from tests.security.two_hosts import INTERNAL_HOST, TwoHosts, build_two_hosts

KIT = {"desk": {"secret": KIT_SECRET, "routes": ["there-api", "here-api", "shared"], "audiences": ["there", "here"]}}
KIT_LINE = f"X-Vestibule-Kit: desk:{KIT_SECRET}"


def routes(upstream: RecordingUpstream) -> list[dict[str, Any]]:
    at = {"here": "localhost", "there": "127.0.0.1"}
    apis = [
        api_route(upstream, id=f"{name}-api", path="/api/", host=host, audience=name, token="assertion")
        for name, host in at.items()
    ]
    return [
        *apis,
        api_route(upstream, id="shared", path="/shared/"),
        api_route(upstream, id="optional", path="/optional/", auth="optional"),
        page_route(upstream, kit="desk"),
    ]


@pytest.fixture
def hosts(build_house: Callable[..., House], upstream: RecordingUpstream) -> TwoHosts:
    return build_two_hosts(build_house, routes(upstream), kit_clients=KIT)


@pytest.fixture
def here(hosts: TwoHosts) -> str:
    """The session cookie of somebody signed in at the first host."""
    return hosts.cookie(hosts.sign_in(hosts.here), hosts.here)


def reasons(hosts: TwoHosts) -> list[str]:
    return [str(event.get("reason")) for event in hosts.house.refusals()]


# A session belongs to its origin


@pytest.mark.parametrize("path", ["/api/x", "/shared/x", "/page", "/auth/session", "/auth/sessions"])
def test_ck_a_session_cookie_is_not_accepted_at_another_host(hosts: TwoHosts, here: str, path: str) -> None:
    before = len(hosts.house.upstream.requests)
    own = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")
    assert hosts.ask(hosts.here, path, *own, cookie=here).status == 200
    reached = len(hosts.house.upstream.requests)
    answer = hosts.ask(hosts.there, path, *own, cookie=here)
    assert (answer.status, len(hosts.house.upstream.requests)) == (401, reached)
    assert reasons(hosts) == ["session_origin"]
    assert b"alice" not in answer.received
    assert reached in (before, before + 1)


def test_ck_an_optional_route_of_another_host_sees_no_signed_in_person(hosts: TwoHosts, here: str) -> None:
    assert hosts.ask(hosts.there, "/optional/x", cookie=here).status == 200
    assert hosts.house.upstream.last.values("x-auth-request-user") == [""]


@pytest.mark.parametrize("path", ["/auth/account", "/auth/logged-out", "/auth/logout", "/"])
def test_ck_pages_of_the_front_door_ignore_a_cookie_of_another_host(hosts: TwoHosts, here: str, path: str) -> None:
    answer = hosts.ask(hosts.there, path, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", cookie=here)
    assert answer.status in (200, 302, 303)
    assert b"Alice" not in answer.received
    assert b"alice" not in answer.received


def test_ck_a_websocket_is_refused_with_a_cookie_of_another_host(hosts: TwoHosts, here: str) -> None:
    port = hosts.house.door.port
    for origin, status in ((hosts.here, 101), (hosts.there, 401)):
        host = origin.removeprefix("http://")
        assert websocket_status(port, handshake("/ws", host, cookie=here)) == status


def test_ck_a_sign_out_with_a_cookie_of_another_host_ends_no_session(hosts: TwoHosts, here: str) -> None:
    for body in ("x=1", "everywhere=1"):
        lines = ("Sec-Fetch-Site: same-origin", f"Origin: {hosts.there}")
        assert hosts.ask(hosts.there, "/auth/logout", *lines, method="POST", cookie=here, body=body).status == 303
    assert hosts.is_signed_in(hosts.here, here)


def test_ck_a_sign_in_ends_no_session_of_another_host(hosts: TwoHosts, here: str) -> None:
    browser = hosts.house.browser()
    start = hosts.ask(hosts.there, "/auth/login", cookie=here)
    assert start.status == 302
    tx = next(value.partition(";")[0] for value in start.all("set-cookie"))
    callback = browser.get(start.header("location")).headers["location"]
    path = callback.removeprefix(hosts.there)
    done = hosts.ask(hosts.there, path, f"Cookie: {tx}; vestibule={here}")
    assert done.status == 303
    assert any(cookie.startswith("vestibule=") for cookie in done.all("set-cookie"))
    assert hosts.is_signed_in(hosts.here, here)


def test_ck_a_sign_in_is_finished_at_the_host_where_it_began(hosts: TwoHosts) -> None:
    house, browser = hosts.house, hosts.house.browser()
    start = hosts.ask(hosts.here, "/auth/login")
    tx = next(value.partition(";")[0] for value in start.all("set-cookie"))
    path = browser.get(start.header("location")).headers["location"].removeprefix(hosts.here)
    before = len(house.store.sessions), len(house.provider.hits_of("token"))
    answer = hosts.ask(hosts.there, path, f"Cookie: {tx}")
    assert (answer.status, reasons(hosts)) == (400, ["callback_origin"])
    assert (len(house.store.sessions), len(house.provider.hits_of("token"))) == before
    assert hosts.ask(hosts.here, path, f"Cookie: {tx}").status == 400


# The account pages


def test_ck_a_person_sees_and_ends_only_the_sessions_of_this_host(hosts: TwoHosts) -> None:
    house = hosts.house
    house.provider.options.auto_login = "alice"
    first, second = hosts.sign_in(hosts.here), hosts.sign_in(hosts.here)
    third = hosts.sign_in(hosts.there)
    listed = first.fetch(f"{hosts.here}/auth/sessions").json()["sessions"]
    elsewhere = third.fetch(f"{hosts.there}/auth/sessions").json()["sessions"]
    assert (len(listed), len(elsewhere)) == (2, 1)
    assert elsewhere[0]["id"] not in first.get(f"{hosts.here}/auth/account").text
    assert elsewhere[0]["id"] in third.get(f"{hosts.there}/auth/account").text
    for method in ("GET", "DELETE", "POST"):
        url = f"{hosts.here}/auth/sessions/{elsewhere[0]['id']}"
        assert first.fetch(url, method=method).status_code == 404
    assert second.fetch(f"{hosts.here}/auth/session").status_code == 200
    assert third.fetch(f"{hosts.there}/auth/session").status_code == 200


def test_lo_signing_out_everywhere_ends_the_sessions_of_every_host(hosts: TwoHosts) -> None:
    first, other = hosts.sign_in(hosts.here), hosts.sign_in(hosts.there)
    assert first.post(f"{hosts.here}/auth/logout", data={"everywhere": "1"}).status_code == 303
    assert other.fetch(f"{hosts.there}/auth/session").status_code == 401


def test_lo_signing_out_at_one_host_keeps_the_session_of_another(hosts: TwoHosts) -> None:
    browser = hosts.sign_in(hosts.there, browser=hosts.sign_in(hosts.here))
    assert browser.post(f"{hosts.here}/auth/logout").status_code == 303
    assert browser.fetch(f"{hosts.here}/auth/session").status_code == 401
    assert browser.fetch(f"{hosts.there}/auth/session").status_code == 200


# Requests that one host's pages make to another host


def from_other_host(hosts: TwoHosts, *, metadata: bool) -> list[str]:
    lines = [f"Origin: {hosts.there}"]
    return [*lines, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"] if metadata else lines


@pytest.mark.parametrize("metadata", [True, False], ids=["with fetch metadata", "without fetch metadata"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/api/x", "/shared/x", "/page", "/auth/session", "/auth/sessions"])
def test_cs_a_call_by_a_script_of_another_host_is_refused(
    hosts: TwoHosts, here: str, metadata: bool, method: str, path: str
) -> None:
    before = len(hosts.house.upstream.requests)
    answer = hosts.ask(hosts.here, path, *from_other_host(hosts, metadata=metadata), method=method, cookie=here)
    assert answer.status in (403, 405)
    assert len(hosts.house.upstream.requests) == before


@pytest.mark.parametrize("metadata", [True, False], ids=["with fetch metadata", "without fetch metadata"])
@pytest.mark.parametrize("body", ["x=1", "everywhere=1"])
def test_cs_a_form_of_another_host_signs_nobody_out(hosts: TwoHosts, here: str, metadata: bool, body: str) -> None:
    lines = from_other_host(hosts, metadata=metadata)
    assert hosts.ask(hosts.here, "/auth/logout", *lines, method="POST", cookie=here, body=body).status == 403
    assert hosts.is_signed_in(hosts.here, here)


@pytest.mark.parametrize("metadata", [True, False], ids=["with fetch metadata", "without fetch metadata"])
def test_cs_a_form_of_another_host_ends_no_session(hosts: TwoHosts, metadata: bool) -> None:
    browser, other = hosts.sign_in(hosts.here), hosts.sign_in(hosts.here)
    cookie = hosts.cookie(browser, hosts.here)
    listed = browser.fetch(f"{hosts.here}/auth/sessions").json()["sessions"]
    for session in listed:
        for method in ("POST", "DELETE"):
            lines = from_other_host(hosts, metadata=metadata)
            path = f"/auth/sessions/{session['id']}"
            assert hosts.ask(hosts.here, path, *lines, method=method, cookie=cookie).status == 403
    assert hosts.is_signed_in(hosts.here, cookie)
    assert other.fetch(f"{hosts.here}/auth/session").status_code == 200


def test_ws_1_a_page_of_another_host_cannot_open_a_websocket(hosts: TwoHosts, here: str) -> None:
    request = handshake("/ws", hosts.here.removeprefix("http://"), origin=hosts.there, cookie=here)
    assert websocket_status(hosts.house.door.port, request) == 403


# Kit calls by the internal name are checked by the session that they are for


def handle_of(hosts: TwoHosts, browser: CookieClient, origin: str) -> str:
    browser.get(f"{origin}/page")
    return str(hosts.house.upstream.last.header("x-vestibule-session"))


def kit_call(hosts: TwoHosts, host: str, path: str, *lines: str, method: str = "GET", body: str = "") -> Any:
    return hosts.ask_host(host, path, KIT_LINE, *lines, method=method, body=body)


@pytest.mark.parametrize("origin", ["here", "there"])
def test_a_kit_call_with_the_internal_name_uses_the_routes_of_the_host_of_its_session(
    hosts: TwoHosts, origin: str
) -> None:
    url = getattr(hosts, origin)
    handle = handle_of(hosts, hosts.sign_in(url), url)
    answer = kit_call(hosts, INTERNAL_HOST, "/api/x", f"X-Vestibule-Session: {handle}")
    assert answer.status == 200
    seen = hosts.house.upstream.last
    assert (seen.header("x-auth-request-user"), seen.header("host")) == ("alice", url.removeprefix("http://"))
    assert f'"aud":"{origin}"' in bearer_claims(seen.header("authorization") or "")


def bearer_claims(header: str) -> str:
    payload = header.split(".")[1]
    return urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()


@pytest.mark.parametrize(("audience", "status"), [("here", 403), ("there", 200)])
def test_a_kit_client_gets_no_token_for_a_route_of_another_host(hosts: TwoHosts, audience: str, status: int) -> None:
    handle = handle_of(hosts, hosts.sign_in(hosts.there), hosts.there)
    body = f'{{"audience":"{audience}"}}'
    line = f"X-Vestibule-Session: {handle}"
    assert kit_call(hosts, INTERNAL_HOST, "/auth/kit/token", line, method="POST", body=body).status == status


@pytest.mark.parametrize("path", ["/api/x", "/shared/x", "/auth/kit/state/x"])
def test_a_kit_call_at_a_public_host_needs_a_session_of_that_host(hosts: TwoHosts, path: str) -> None:
    handle = handle_of(hosts, hosts.sign_in(hosts.there), hosts.there)
    line = f"X-Vestibule-Session: {handle}"
    here, there = (origin.removeprefix("http://") for origin in (hosts.here, hosts.there))
    assert kit_call(hosts, there, path, line).status in (200, 404)
    before = len(hosts.house.upstream.requests)
    assert kit_call(hosts, here, path, line).status == 401
    assert len(hosts.house.upstream.requests) == before
    assert reasons(hosts) == ["kit_handle"]


def test_a_page_without_a_signed_in_person_reaches_the_routes_of_its_client_at_both_hosts(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    anybody = api_route(upstream, id="there-api", path="/api/", host="127.0.0.1", auth="optional")
    other = api_route(upstream, id="else", path="/api/", host="localhost")
    hosts = build_two_hosts(
        build_house,
        [anybody, other, page_route(upstream)],
        kit_clients={"desk": {"secret": KIT_SECRET, "routes": ["there-api"]}},
    )
    assert kit_call(hosts, INTERNAL_HOST, "/api/x").status == 200
    assert upstream.last.header("host") == hosts.there.removeprefix("http://")


def test_a_host_that_is_public_and_internal_is_internal_to_a_kit_and_public_to_a_browser(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    port = free_port()
    server = {"internal_hosts": [f"127.0.0.1:{port}"]}
    hosts = build_two_hosts(build_house, routes(upstream), own_port=port, server=server, kit_clients=KIT)
    browser = hosts.sign_in(hosts.here)
    line = f"X-Vestibule-Session: {handle_of(hosts, browser, hosts.here)}"
    assert kit_call(hosts, f"127.0.0.1:{port}", "/api/x", line).status == 200
    assert upstream.last.header("host") == f"localhost:{port}"
    assert hosts.ask(hosts.there, "/page", cookie=hosts.cookie(browser, hosts.here)).status == 401


def test_a_browser_cannot_use_the_internal_name(hosts: TwoHosts, here: str) -> None:
    assert hosts.ask_host(INTERNAL_HOST, "/page", cookie=here).status == 421
    assert hosts.ask_host(INTERNAL_HOST, "/page", KIT_LINE, cookie=here).status == 400


@pytest.mark.parametrize("line", [KIT_LINE, "X-Vestibule-Kit: nobody:x", "X-Vestibule-Kit:"])
@pytest.mark.parametrize("path", ["/auth/session", "/auth/sessions", "/auth/account", "/auth/login"])
def test_ck_a_session_cookie_gives_no_access_at_the_internal_name(
    hosts: TwoHosts, here: str, path: str, line: str
) -> None:
    """Endpoints for browsers never check a kit's credential. So a header must not be enough to open them."""
    answer = hosts.ask_host(INTERNAL_HOST, path, line, "Sec-Fetch-Site: same-origin", cookie=here)
    assert answer.status == 421
    assert b"alice" not in answer.received


def test_ck_a_session_cookie_ends_no_session_at_the_internal_name(hosts: TwoHosts, here: str) -> None:
    lines = (KIT_LINE, "Sec-Fetch-Site: same-origin")
    answer = hosts.ask_host(INTERNAL_HOST, "/auth/logout", *lines, method="POST", cookie=here, body="everywhere=1")
    assert answer.status == 421
    assert hosts.is_signed_in(hosts.here, here)


def test_a_code_can_be_redeemed_only_at_the_host_of_its_session(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    clients = {"app-a": {**KIT_CLIENTS["app-a"], "routes": ["api"]}}
    hosts = build_two_hosts(build_house, [api_route(upstream), page_route(upstream)], kit_clients=clients)
    for origin, status in ((hosts.there, 400), (hosts.here, 200)):
        code = {"code": fetch_code(hosts.house).value, "binding": BINDING}
        url = f"{origin}/auth/kit/exchange"
        answer = hosts.house.browser().fetch(url, method="POST", headers=kit_headers(), json=code)
        assert answer.status_code == status
