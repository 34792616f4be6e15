"""PX-2, PX-3, CK-6, WS-1, WS-5: public routes have no identity; `optional` routes have one and are private."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bff.errors import StoreUnavailable
from tests.fakes import FakeClock, RecordedRequest, RecordingUpstream, Reply
from tests.fakes.replies import make_reply
from tests.front_door import KIT_SECRET, api_route, page_route
from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, handshake, open_websocket, read_close, websocket_status
from tests.security.shared_cache import shared_cache

NAVIGATION = ("Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html")
KIT = f"X-Vestibule-Kit: dash:{KIT_SECRET}"
PAGE = b"<!doctype html><html><head><title>hello</title></head><body>hello</body></html>"
CACHEABLE = {"Cache-Control": "public, max-age=3600", "Content-Type": "text/html", "ETag": '"one"'}


def names_in(request: RecordedRequest) -> dict[str, str]:
    """Every identity header with something in it."""
    ours = ("x-auth-request", "x-forwarded-user", "x-forwarded-email", "remote-", "x-vestibule")
    pairs = ((name.decode().lower(), value.decode()) for name, value in request.headers)
    return {name: value for name, value in pairs if name.startswith(ours) and value}


def who_is_asked_for(request: RecordedRequest) -> Reply:
    """An application that greets the person whom the front door names, and marks its answers as public."""
    body = f"hello {request.header('x-auth-request-user') or 'stranger'}"
    return make_reply(body=body, headers={"Cache-Control": "public, max-age=3600", "Content-Type": "text/plain"})


@pytest.fixture
def house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    """A house with routes that let everybody in, and one that does not."""
    return build_house(
        routes=[
            page_route(upstream, id="site", path="/site", auth="public"),
            api_route(upstream, id="hooks", path="/hooks", auth="public", strip_prefix=False),
            page_route(upstream, id="guests", path="/guests", auth="optional"),
            page_route(upstream, id="members", path="/members"),
        ],
        kit_clients={"dash": {"secret": KIT_SECRET, "routes": ["hooks", "guests"]}},
        session={"idle_seconds": 20, "absolute_seconds": 4000},
    )


@pytest.mark.parametrize("path", ["/site/x", "/hooks/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_px_3_the_upstream_of_a_public_route_gets_no_identity(
    house: House, cookie: str, path: str, method: str
) -> None:
    lines = [SAME_ORIGIN, f"Origin: {house.url}", "X-Auth-Request-User: mallory", "X-Vestibule-Session: mallory"]
    answer = house.get_raw(path, *lines, method=method, cookie=cookie)
    assert answer.status == 200
    request = house.upstream.last
    assert names_in(request) == {}
    assert request.header("x-auth-request-user") == "", "the whole set is there, so that no copy of a client survives"
    assert request.header("cookie") is None


def test_px_3_a_public_route_does_not_read_the_session(
    house: House, cookie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out(name: str) -> None:
        raise StoreUnavailable(detail="a test")

    monkeypatch.setattr(house.store, "load", out)
    house.door.app.cache.close()
    assert house.get_raw("/members/x", SAME_ORIGIN, cookie=cookie).status == 503
    assert house.get_raw("/site/x", SAME_ORIGIN, cookie=cookie).status == 200
    assert house.get_raw("/site/x", "Cookie: vestibule=a; vestibule=b").status == 200


def test_px_2_a_public_route_gets_the_authorization_header_of_the_client_even_with_a_session(
    house: House, cookie: str
) -> None:
    for session in ("", cookie):
        house.get_raw("/hooks/x", SAME_ORIGIN, "Authorization: Bearer webhook", cookie=session)
        assert house.upstream.last.header("authorization") == "Bearer webhook"


def test_px_3_a_kit_call_to_a_public_route_has_no_identity(house: House) -> None:
    session = house.session_of(house.sign_in())
    handle = house.door.app.bff.kit.handle_for(session.name, client="dash")
    lines = [KIT, f"X-Vestibule-Session: {handle}"]
    assert house.get_raw("/guests/x", *lines).status == 200
    assert names_in(house.upstream.last)["x-auth-request-user"] == "alice"
    assert house.get_raw("/hooks/x", *lines).status == 200
    assert names_in(house.upstream.last) == {}


@pytest.mark.parametrize(
    ("path", "line", "status"),
    [("/site/x", KIT, 403), ("/hooks/x", "X-Vestibule-Kit: dash:not-the-secret-of-the-client", 401)],
    ids=["a-route-that-is-not-the-clients", "a-wrong-secret"],
)
def test_px_3_a_kit_credential_is_checked_on_a_public_route(house: House, path: str, line: str, status: int) -> None:
    """This header lets a Host of `internal_hosts` in, so it must have a valid value."""
    assert house.get_raw(path, line).status == status
    assert house.upstream.requests == []


def test_sl_2_a_request_to_a_public_route_does_not_extend_the_session(
    timed_house: Callable[..., House], clock: FakeClock, upstream: RecordingUpstream
) -> None:
    house = timed_house(
        routes=[page_route(upstream, id="site", path="/site", auth="public")],
        session={"idle_seconds": 20, "absolute_seconds": 4000},
    )
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    for _ in range(5):
        clock.advance(5)
        house.get_raw("/site/x", SAME_ORIGIN, cookie=cookie)
    assert not house.is_signed_in(browser)


def test_ck_6_a_public_document_is_passed_on_byte_for_byte(house: House, cookie: str) -> None:
    house.upstream.respond("/site/*", body=PAGE, headers=CACHEABLE)
    answer = house.get_raw("/site/x", *NAVIGATION, "Accept-Encoding: gzip", 'If-None-Match: "zero"', cookie=cookie)
    assert answer.body == PAGE, "no session-end script: there is no session on this page"
    assert answer.header("cache-control") == "public, max-age=3600"
    assert answer.header("etag") == '"one"'
    assert "cookie" not in answer.header("vary").lower()
    assert house.upstream.last.header("if-none-match") == '"zero"'
    assert house.upstream.last.header("accept-encoding") == "gzip"


def test_ck_6_a_public_answer_that_sets_a_cookie_is_not_stored_in_shared_caches(house: House) -> None:
    house.upstream.respond("/site/*", body=PAGE, headers={**CACHEABLE, "Set-Cookie": "basket=1"})
    assert house.get_raw("/site/x").header("cache-control") == "private, max-age=3600"


@pytest.mark.parametrize("path", ["/site/greeting", "/hooks/greeting", "/guests/greeting"])
def test_ck_6_a_shared_cache_does_not_give_the_answer_for_one_person_to_another(
    house: House, tmp_path: Path, path: str
) -> None:
    """nginx with `proxy_cache` keeps all it may: on a public route only answers for nobody, elsewhere nothing."""
    alice = house.session_cookie(house.sign_in("alice"))
    bob = house.session_cookie(house.sign_in("bob"))
    house.upstream.respond_with("/*", who_is_asked_for)
    with shared_cache(tmp_path, door_port=house.door.port) as cache:
        answers = [cache.get(path, SAME_ORIGIN, cookie=cookie) for cookie in (alice, bob, "", alice)]
    said = [answer.body.decode() for answer in answers]
    from_cache = [answer.header("x-cache-status") == "HIT" for answer in answers]
    if path.startswith("/guests"):
        assert said == ["hello alice", "hello bob", "hello stranger", "hello alice"]
        assert not any(from_cache)
    else:
        assert said == ["hello stranger"] * 4
        assert from_cache == [False, True, True, True], "what is public may be kept"


def test_cs_2_a_cross_site_request_to_a_public_route_has_no_identity(house: House, cookie: str) -> None:
    """A webhook can come from anywhere. It counts as nobody's even with the cookie of a person."""
    lines = ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"]
    assert house.get_raw("/hooks/x", *lines, method="POST", cookie=cookie).status == 200
    assert names_in(house.upstream.last) == {}
    assert house.get_raw("/guests/x", *lines, method="POST", cookie=cookie).status == 403


def test_ws_1_a_public_route_checks_the_origin_of_a_socket(house: House, cookie: str) -> None:
    for origin in ("https://evil.example", "null", None):
        assert websocket_status(house.door.port, handshake("/site/ws", house.host, origin=origin, cookie=cookie)) == 403


def test_ws_5_a_socket_of_a_public_route_belongs_to_no_session(house: House) -> None:
    browser = house.sign_in()
    session = house.session_of(browser)
    request = handshake("/site/ws", house.host, cookie=house.session_cookie(browser))
    answer, client = open_websocket(house.door.port, request)
    with client:
        assert answer.status == 101
        assert names_in(house.upstream.last) == {}
        assert house.door.app.pipeline.connections.count(session.name) == 0
        browser.post(f"{house.url}/auth/logout")
        time.sleep(0.5)
        assert len(house.upstream.websockets_open) == 1, "nobody's socket ends with nobody's session"


def test_ws_5_a_socket_of_an_optional_route_is_counted_and_ends_with_its_session(house: House) -> None:
    browser = house.sign_in()
    session = house.session_of(browser)
    request = handshake("/guests/ws", house.host, cookie=house.session_cookie(browser))
    answer, client = open_websocket(house.door.port, request)
    with client:
        assert answer.status == 101
        assert names_in(house.upstream.last)["x-auth-request-user"] == "alice"
        assert house.door.app.pipeline.connections.count(session.name) == 1
        browser.post(f"{house.url}/auth/logout")
        assert read_close(client) == (4401, "logout")


def test_ck_6_an_answer_of_an_optional_route_is_private_with_and_without_a_session(house: House, cookie: str) -> None:
    house.upstream.respond_with("/guests/*", who_is_asked_for)
    for session in (cookie, ""):
        answer = house.get_raw("/guests/x", SAME_ORIGIN, cookie=session)
        assert answer.header("cache-control") == "private, max-age=3600"
        assert answer.header("vary") == "Cookie"


@pytest.mark.parametrize(
    "path",
    [
        "/health/",
        "/health/x",
        "/health/..%2fmembers",
        "/health;x",
        "/health%2f",
        "/health%2fx",
        "/health//",
        "/HEALTH",
        "/health/%2e",
        "/health%00",
        "/health%3fx",
        "/health%23x",
    ],
)
def test_px_3_nothing_but_the_very_path_of_an_exact_open_route_passes_without_sign_in(
    build_house: Callable[..., House], upstream: RecordingUpstream, path: str
) -> None:
    house = build_house(
        routes=[
            api_route(upstream, id="members", path="/", strip_prefix=False),
            api_route(upstream, id="health", path="/health", auth="public", exact=True, strip_prefix=False),
        ]
    )
    assert house.get_raw("/health").status == 200
    seen = len(upstream.requests)
    assert house.get_raw(path).status in (400, 401)
    assert len(upstream.requests) == seen
