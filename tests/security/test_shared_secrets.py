"""PX-4, PX-14: an address on loopback proves nothing. A secret identifies a proxy or the front door."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.payloads.requests import spellings
from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, handshake, websocket_status

PROXY_SECRET = "unit-test-proxy-secret-0123456789"
UPSTREAM_SECRET = "unit-test-upstream-secret-0123456789"
OTHER_SECRET = "unit-test-another-secret-0123456789"
UPSTREAM_HEADER = "X-Vestibule-Upstream"
PROXY_HEADER = "X-Vestibule-Proxy"
FORWARDED = "X-Forwarded-For: 203.0.113.7"


@pytest.fixture
def proxied_house(build_house: Callable[..., House]) -> House:
    return build_house(server={"trusted_proxies": ["127.0.0.1/32"], "trusted_proxy_secret": PROXY_SECRET})


@pytest.fixture
def guarded_house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    return build_house(
        routes=[
            api_route(upstream, upstream_secret=UPSTREAM_SECRET),
            api_route(upstream, id="other", path="/other/", upstream_secret=OTHER_SECRET),
            api_route(upstream, id="none", path="/none/"),
            api_route(upstream, id="public", path="/public/", auth="public", upstream_secret=UPSTREAM_SECRET),
            page_route(upstream, upstream_secret=UPSTREAM_SECRET),
        ]
    )


def client_seen_by_the_upstream(house: House, *headers: str) -> str | None:
    """The address that the upstream is told after such a request."""
    house.get_raw("/public/x", SAME_ORIGIN, FORWARDED, *headers)
    return house.upstream.last.header("x-forwarded-for")


def test_px_4_forwarding_headers_of_a_proxy_with_the_secret_are_used(proxied_house: House) -> None:
    assert client_seen_by_the_upstream(proxied_house, f"{PROXY_HEADER}: {PROXY_SECRET}") == "203.0.113.7"


WITHOUT_PROOF = {
    "no secret": [],
    "an empty secret": [f"{PROXY_HEADER}:"],
    "another secret": [f"{PROXY_HEADER}: {OTHER_SECRET}"],
    "a part of the secret": [f"{PROXY_HEADER}: {PROXY_SECRET[:-1]}"],
    "more than the secret": [f"{PROXY_HEADER}: {PROXY_SECRET}x"],
    "bytes that are no text": [f"{PROXY_HEADER}: \xff\xfe"],
    "the secret and another": [f"{PROXY_HEADER}: {PROXY_SECRET}", f"{PROXY_HEADER}: {OTHER_SECRET}"],
    "the secret twice": [f"{PROXY_HEADER}: {PROXY_SECRET}", f"{PROXY_HEADER}: {PROXY_SECRET}"],
    "the secret under an underscore": [f"X_Vestibule_Proxy: {PROXY_SECRET}"],
}


@pytest.mark.parametrize("headers", WITHOUT_PROOF.values(), ids=WITHOUT_PROOF.keys())
def test_px_4_forwarding_headers_of_page_code_on_the_address_of_the_proxy_are_ignored(
    proxied_house: House, headers: list[str]
) -> None:
    assert client_seen_by_the_upstream(proxied_house, *headers) == "127.0.0.1"


def test_px_4_page_code_on_the_address_of_the_proxy_cannot_choose_the_host_or_the_request_id(
    proxied_house: House,
) -> None:
    house = proxied_house
    answer = house.get_raw("/public/x", "X-Request-ID: chosen-by-a-page", "X-Forwarded-Host: evil.example")
    assert answer.header("x-request-id") != "chosen-by-a-page"
    assert house.upstream.last.header("x-forwarded-host") == house.host


def test_px_4_the_secret_of_the_proxy_is_not_passed_on(proxied_house: House) -> None:
    house = proxied_house
    cookie = house.session_cookie(house.sign_in())
    for path in ("/public/x", "/api/x", "/page"):
        house.get_raw(path, SAME_ORIGIN, f"{PROXY_HEADER}: {PROXY_SECRET}", cookie=cookie)
        assert PROXY_SECRET.encode() not in house.upstream.last.head, path
    request = handshake("/ws", house.host, f"{PROXY_HEADER}: {PROXY_SECRET}", cookie=cookie)
    assert websocket_status(house.door.port, request) == 101
    assert PROXY_SECRET.encode() not in house.upstream.last.head
    assert PROXY_SECRET not in str(house.audit)


def test_px_4_ignored_forwarding_headers_leave_one_log_line_a_minute(proxied_house: House) -> None:
    for _ in range(3):
        client_seen_by_the_upstream(proxied_house)
    reasons = [event["reason"] for event in proxied_house.refusals()]
    assert reasons == ["proxy_secret"]


def test_px_4_a_call_without_forwarding_headers_from_the_address_of_the_proxy_leaves_no_log_line(
    proxied_house: House,
) -> None:
    proxied_house.get_raw("/public/x", SAME_ORIGIN)
    assert proxied_house.refusals() == []


def secrets_seen(house: House) -> list[str]:
    return house.upstream.last.values(UPSTREAM_HEADER.lower())


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("/api/x", UPSTREAM_SECRET),
        ("/other/x", OTHER_SECRET),
        ("/public/x", UPSTREAM_SECRET),
        ("/page", UPSTREAM_SECRET),
        ("/none/x", ""),
    ],
)
def test_px_14_each_upstream_gets_only_its_own_secret(guarded_house: House, path: str, secret: str) -> None:
    house = guarded_house
    cookie = house.session_cookie(house.sign_in())
    house.get_raw(path, SAME_ORIGIN, cookie=cookie)
    assert secrets_seen(house) == ([secret] if secret else [])


def test_px_14_a_websocket_handshake_has_the_secret_of_the_upstream(guarded_house: House) -> None:
    house = guarded_house
    cookie = house.session_cookie(house.sign_in())
    given = [f"{name}: {OTHER_SECRET}" for name in spellings(UPSTREAM_HEADER)]
    request = handshake("/ws", house.host, *given, cookie=cookie)
    assert websocket_status(house.door.port, request) == 101
    assert secrets_seen(house) == [UPSTREAM_SECRET]
    assert OTHER_SECRET.encode() not in house.upstream.last.head


@pytest.mark.parametrize("path", ["/api/x", "/other/x", "/public/x", "/page", "/none/x"])
def test_px_14_the_secret_header_of_a_client_is_removed_in_every_spelling(guarded_house: House, path: str) -> None:
    house = guarded_house
    cookie = house.session_cookie(house.sign_in())
    guess = "unit-test-guess-0123456789"
    lines = [f"{name}: {guess}" for name in spellings(UPSTREAM_HEADER)]
    house.get_raw(path, SAME_ORIGIN, *lines, f"Connection: close, {UPSTREAM_HEADER}", cookie=cookie)
    assert guess.encode() not in house.upstream.last.head
    assert len(secrets_seen(house)) == (0 if path == "/none/x" else 1)
