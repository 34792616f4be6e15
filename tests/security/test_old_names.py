"""FA-1, FA-2, FA-4 to FA-6, WS-1, PX-3, PX-10, FM-1: `/oauth2/auth`, asked by proxies, open to scripts of a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.stores.events import EverythingUnknown
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import page_route
from tests.security.house import House, open_house
from tests.security.many_groups import many_groups
from tests.security.old_door import NAMES, OLD, OTHER_SITES, catch_all
from tests.security.raw import RawAnswer, exchange, handshake, websocket_status

NAVIGATION = ("Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none")
SENT = {
    "x-auth-request-user": "alice",
    "x-auth-request-email": "alice@example.com",
    "x-auth-request-groups": "science",
    "x-auth-request-preferred-username": "alice",
}


@pytest.fixture(scope="module")
def old_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, routes=[catch_all(shared_upstream)], **OLD) as house:
        yield house


@pytest.fixture
def house(old_house: House, provider: FakeProvider, upstream: RecordingUpstream, audit: list[Any]) -> Iterator[House]:
    house = House(provider, upstream, old_house.door, old_house.store, audit)
    yield house
    house.close_browsers()


def test_fa_1_a_signed_in_person_may_pass(house: House, cookie: str) -> None:
    answer = house.get_raw("/oauth2/auth", cookie=cookie)
    assert (answer.status, answer.body) == (202, b"")
    assert {name: answer.header(name) for name in SENT} == SENT
    assert answer.header("cache-control") == "no-store"
    assert answer.all("set-cookie") == []
    assert house.upstream.requests == []


def test_fa_6_the_answer_holds_no_credential(house: House, cookie: str) -> None:
    answer = house.get_raw("/oauth2/auth", cookie=cookie)
    names = {name for name, _ in answer.headers}
    assert names <= {*SENT, "x-auth-request-omitted", "x-request-id", "cache-control", "content-length", "date"} | {
        "server",
        "connection",
    }
    assert cookie.encode() not in answer.received


def test_fa_1_nobody_is_told_401_without_a_redirect(house: House) -> None:
    answer = house.get_raw("/oauth2/auth", *NAVIGATION, "Accept: text/html")
    assert answer.status == 401
    assert answer.all("location") == []
    assert json.loads(answer.body)["login_url"] == "/oauth2/start?rd=%2F"
    assert not any(name in SENT for name, _ in answer.headers)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
def test_fa_1_a_proxy_may_ask_with_any_method(house: House, cookie: str, method: str) -> None:
    proof = ("Sec-Fetch-Site: same-origin",)
    assert house.get_raw("/oauth2/auth", *proof, method=method, cookie=cookie).status == 202


def test_px_3_a_person_in_many_groups_passes_and_the_head_stays_short(house: House) -> None:
    with many_groups(house.provider) as groups:
        cookie = house.session_cookie(house.sign_in())
    answer = house.get_raw(f"/oauth2/auth?allowed_groups={groups[-1]}", cookie=cookie)
    assert answer.status == 202
    assert len(answer.received) <= 4_000, "nginx reads one page"
    assert (answer.all("x-auth-request-groups"), answer.header("x-auth-request-omitted")) == ([""], "groups")
    assert house.get_raw("/oauth2/auth?allowed_groups=law", cookie=cookie).status == 403


def test_the_status_of_a_yes_is_a_setting(build_house: Callable[..., House], upstream: RecordingUpstream) -> None:
    compat = {"oauth2_proxy": True, "oauth2_proxy_auth_status": 200}
    house = build_house(routes=[catch_all(upstream)], compat=compat)
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("allowed_groups=science", 202),
        ("allowed_groups=law", 403),
        ("allowed_groups=", 403),
        ("allowed_groups=science&allowed_groups=law", 403),
        ("allowed_emails=alice@example.com&allowed_email_domains=other.example", 403),
        ("allowed_email_domains=example.com", 202),
        ("allowed_anything=x", 403),
    ],
)
def test_fa_1_rules_of_the_query_must_hold(house: House, cookie: str, query: str, status: int) -> None:
    assert house.get_raw(f"/oauth2/auth?{query}", cookie=cookie).status == status
    reasons = [(event["event"], event["reason"]) for event in house.refusals()]
    assert bool(reasons) == (status == 403), reasons


def test_it_14_an_address_that_nobody_verified_meets_no_rule_and_is_not_sent(house: House) -> None:
    person = house.provider.people["alice"]
    person.email_verified = False
    try:
        cookie = house.session_cookie(house.sign_in())
    finally:
        person.email_verified = True
    assert house.get_raw("/oauth2/auth?allowed_email_domains=example.com", cookie=cookie).status == 403
    answer = house.get_raw("/oauth2/auth", cookie=cookie)
    assert (answer.status, answer.all("x-auth-request-email")) == (202, [""])


@pytest.mark.parametrize("path", ["/oauth2/auth", "/oauth2/userinfo"])
@pytest.mark.parametrize("name", OTHER_SITES)
def test_fa_6_another_site_learns_nothing(house: House, cookie: str, path: str, name: str) -> None:
    answer = house.get_raw(path, *OTHER_SITES[name], cookie=cookie)
    assert answer.status == 403
    assert b"alice" not in answer.received
    assert answer.all("access-control-allow-origin") == []


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
@pytest.mark.parametrize("origin", ["null", "https://evil.example", "https://sub.localhost"])
def test_fa_6_a_form_of_another_site_does_not_pass(house: House, cookie: str, site: str, origin: str) -> None:
    """A proxy asks with GET, whatever the request was. A navigation with `Origin` is a form: no link sends it."""
    form = (f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", f"Origin: {origin}")
    assert house.get_raw("/oauth2/auth", *form, cookie=cookie).status == 403


def test_a_link_of_another_site_passes(house: House, cookie: str) -> None:
    link = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    assert house.get_raw("/oauth2/auth", *link, cookie=cookie).status == 202


def test_ws_1_a_handshake_from_another_site_does_not_pass(house: House, cookie: str) -> None:
    lines = ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Origin: https://evil.example")
    assert house.get_raw("/oauth2/auth", *lines, cookie=cookie).status == 403
    own = ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", f"Origin: {house.url}")
    assert house.get_raw("/oauth2/auth", *own, cookie=cookie).status == 202


@pytest.mark.parametrize("name", NAMES)
def test_a_websocket_is_opened_by_none_of_the_names(house: House, cookie: str, name: str) -> None:
    assert websocket_status(house.door.port, handshake(f"/oauth2/{name}", house.host, cookie=cookie)) == 404


def test_fa_5_a_kit_credential_opens_nothing(house: House, cookie: str) -> None:
    lines = ("X-Vestibule-Kit: dash:unit-test-kit-secret-0123456789",)
    assert house.get_raw("/oauth2/auth", *lines, cookie=cookie).status == 403


FORGED = ("X-Forwarded-Uri", "X-Original-URI", "X-Original-URL", "X-Auth-Request-Redirect", "X-Forwarded-Host")


@pytest.mark.parametrize("name", FORGED)
def test_fa_2_no_header_of_a_client_changes_what_is_decided(
    build_house: Callable[..., House], upstream: RecordingUpstream, name: str
) -> None:
    """Every route must let the person in, whatever address the client names."""
    admin = page_route(upstream, id="admin", path="/admin", require={"roles_any": ["chief"]})
    open_route = page_route(upstream, id="open", path="/open", auth="public")
    house = build_house(routes=[catch_all(upstream), admin, open_route], **OLD)
    cookie = house.session_cookie(house.sign_in())
    for value in ("/open", "/open/x", "/", f"{house.url}/open"):
        answer = house.get_raw("/oauth2/auth", f"{name}: {value}", cookie=cookie)
        assert answer.status == 403, value
        assert house.get_raw("/oauth2/auth", f"{name}: {value}").status == 401, value


def test_every_route_must_let_the_person_in(build_house: Callable[..., House], upstream: RecordingUpstream) -> None:
    """A rule that oauth2-proxy had for everybody is in the routes here."""
    rule = {"email_domains": ["corp.example"]}
    house = build_house(routes=[{"id": "pages", "path": "/", "kind": "page", "require": rule}], **OLD)
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 403
    (event,) = [event for event in house.audit if event["event"] == "access_denied"]
    assert (event["route"], event["reason"]) == ("pages", "require.email_domains")


@pytest.mark.parametrize("open_only", [False, True], ids=["no route", "public routes alone"])
def test_without_a_route_nobody_passes(
    build_house: Callable[..., House], upstream: RecordingUpstream, audit: list[Any], open_only: bool
) -> None:
    routes = [page_route(upstream, id="open", path="/open", auth="public")] if open_only else []
    house = build_house(routes=routes, **OLD)
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 403
    assert any("no route that asks for a sign-in" in str(event.get("detail")) for event in audit)


def test_a_fresh_sign_in_is_asked_for_and_does_not_go_round_in_circles(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: Any
) -> None:
    fresh = page_route(upstream, id="fresh", path="/fresh", require={"max_age_seconds": 300})
    house = timed_house(routes=[catch_all(upstream), fresh], **OLD)
    browser = house.sign_in(path="/oauth2/start?rd=/report")
    assert house.get_raw("/oauth2/auth", cookie=house.session_cookie(browser)).status == 202
    clock.advance(301)
    answer = house.get_raw("/oauth2/auth", cookie=house.session_cookie(browser))
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "step_up_required")
    house.sign_in(browser=browser, path="/oauth2/start?rd=/report")
    assert house.get_raw("/oauth2/auth", cookie=house.session_cookie(browser)).status == 202


def test_two_routes_that_no_sign_in_can_meet_refuse_without_a_sign_in(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    gold = page_route(upstream, id="gold", path="/gold", require={"acr_any": ["gold"]})
    iron = page_route(upstream, id="iron", path="/iron", require={"acr_any": ["iron"]})
    house = build_house(routes=[catch_all(upstream), gold, iron], **OLD)
    cookie = house.session_cookie(house.sign_in())
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 403


def test_lo_13_a_sign_out_counts_at_the_next_question(house: House) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 202
    browser.post(f"{house.url}/oauth2/sign_out")
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 401


def test_fm_1_a_store_that_does_not_answer_is_503_and_the_cookie_stays(
    build_house: Callable[..., House], upstream: RecordingUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build_house(routes=[catch_all(upstream)], **OLD)
    cookie = house.session_cookie(house.sign_in())

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable(detail="the test cut it")

    monkeypatch.setattr(house.store, "load", fail)
    monkeypatch.setattr(house.store, "ping", fail)
    house.door.app.cache.on_event(EverythingUnknown())
    answer = house.get_raw("/oauth2/auth", cookie=cookie)
    assert (answer.status, answer.all("set-cookie")) == (503, [])
    assert house.get_raw("/ready").status == 503
    assert house.get_raw("/ping").status == 200


def test_a_question_counts_as_use(timed_house: Callable[..., House], upstream: RecordingUpstream, clock: Any) -> None:
    house = timed_house(routes=[catch_all(upstream)], session={"idle_seconds": 600}, **OLD)
    cookie = house.session_cookie(house.sign_in())
    for _ in range(5):
        clock.advance(400)
        assert house.get_raw("/oauth2/auth", cookie=cookie).status == 202
    clock.advance(601)
    assert house.get_raw("/oauth2/auth", cookie=cookie).status == 401


def test_ck_1_a_session_of_another_host_does_not_pass(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    house = build_house(
        routes=[catch_all(upstream)], compat=OLD["compat"], server={"origins": ["http://two.localhost"]}
    )
    cookie = house.session_cookie(house.sign_in())
    head = (
        f"GET /oauth2/auth HTTP/1.1\r\nHost: two.localhost\r\nCookie: vestibule={cookie}\r\nConnection: close\r\n\r\n"
    )
    assert RawAnswer.parse(exchange(house.door.port, head.encode())).status == 401


# -- names and spellings ---------------------------------------------------------------------------------------------

SPELLINGS = [
    *(
        "/oauth2",
        "/oauth2/",
        "/oauth2/auth/",
        "/oauth2/auth/x",
        "/oauth2/Auth",
        "/oauth2/static/x",
        "/oauth2/robots.txt",
    ),
    *("/OAUTH2/auth", "/oauth2/%61uth", "/%6fauth2/auth", "//oauth2/auth", "/oauth2//auth", "/oauth2/./auth"),
    *("/x/../oauth2/auth", "/oauth2/auth;x=1", "/oauth2;x/auth", "/oauth2%2fauth", "/oauth2/auth%00", "/oauth2%5cauth"),
    *(
        "/oauth2/auth%2f",
        "/oauth2/auth%3f",
        "/oauth2/auth%23",
        "/oauth2/auth/.",
        "/oauth2/x/..%2fauth",
        "/oauth2/auth%20",
    ),
    *(
        "/oauth2\\auth",
        "/oauth%32/auth",
        "/oauth2/%2561uth",
        "/oauth%EF%BC%92/auth",
        "/oauth2/auth%ff",
        "/oauth2/verify",
    ),
]


@pytest.mark.parametrize("path", SPELLINGS)
def test_px_10_only_the_usual_spelling_is_a_name(house: House, cookie: str, path: str) -> None:
    for given in ("", cookie):
        answer = house.get_raw(path, cookie=given)
        assert answer.status in (400, 404), (path, answer.status)
        assert not any(name in SENT for name, _ in answer.headers)
    assert house.upstream.requests == [], "a reserved address reached the application"


@pytest.mark.parametrize("name", NAMES)
def test_px_3_without_the_setting_no_name_exists(
    shared_house: House, upstream: RecordingUpstream, audit: list[Any], name: str
) -> None:
    for lines in ((), (*NAVIGATION, "Accept: text/html")):
        assert shared_house.get_raw(f"/oauth2/{name}", *lines).status == 404
    assert upstream.requests == []


def test_px_3_without_the_setting_probes_belong_to_the_application(house: House, build_house: Any) -> None:
    other = build_house(routes=[page_route(house.upstream, auth="public")])
    assert other.get_raw("/ping").status == 200
    assert [seen.path for seen in house.upstream.requests] == ["/ping"]


@pytest.mark.parametrize("path", ["/ping", "/ready"])
def test_probes_are_answered_under_every_host_and_without_sign_in(house: House, path: str) -> None:
    for host in (house.host, "10.0.0.7:4180"):
        raw = exchange(house.door.port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = RawAnswer.parse(raw)
        assert (answer.status, answer.body) == (200, b"OK")
    assert house.get_raw(path, method="HEAD").body == b""
    assert house.get_raw(path, method="POST").status != 200
    assert house.get_raw(path + "/", cookie="").status != 200
    assert house.upstream.requests == []


@pytest.mark.parametrize("path", ["/ping", "/ready"])
def test_a_route_of_that_path_comes_before_the_probe(
    build_house: Callable[..., House], upstream: RecordingUpstream, path: str
) -> None:
    own = page_route(upstream, id="own", path=path, auth="public")
    house = build_house(routes=[catch_all(upstream), own], **OLD)
    assert house.get_raw(path).status == 200
    assert [seen.path for seen in upstream.requests] == [path]
