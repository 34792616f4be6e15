"""SL: how a session begins, is refreshed and ends, and that an ended session stays ended."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fakes import CookieClient, FakeClock, RecordingUpstream, Reply, is_grant
from tests.front_door import page_route
from tests.security.house import House
from tests.security.raw import connect, handshake, open_websocket, read_close, storm
from tests.security.rejection import assert_rejected
from tests.security.session_calls import LIFETIME, api


def test_sl_1_every_sign_in_gets_a_new_id_and_ends_the_old_one(house: House) -> None:
    browser = house.browser()
    cookies = []
    for _ in range(3):
        house.sign_in(browser=browser)
        cookies.append(house.session_cookie(browser))
    assert len(set(cookies)) == 3
    assert [house.get_raw("/auth/session", cookie=cookie).status for cookie in cookies] == [401, 401, 200]
    assert [house.get_raw("/api/x", "Sec-Fetch-Site: same-origin", cookie=c).status for c in cookies] == [401, 401, 200]


@pytest.mark.parametrize("planted", ["a" * 43 + "." + "b" * 43, "x", "", "of nobody"])
def test_sl_1_a_session_id_chosen_by_an_attacker_is_never_used(house: House, planted: str) -> None:
    if planted == "of nobody":
        # It names no session, even with a valid signature.
        planted = house.door.app.bff.keyring.sign("c" * 43, purpose="session")
    browser = house.browser()
    browser.cookies.set("vestibule", planted, house.url)
    house.sign_in(browser=browser)
    assert house.session_cookie(browser) != planted
    assert house.get_raw("/auth/session", cookie=planted).status == 401


def test_sl_1_a_sign_in_of_another_person_leaves_no_data_of_the_first(house: House) -> None:
    browser = house.sign_in("alice")
    api(house, browser)
    of_alice = {name: house.upstream.last.header(name) for name in ("authorization", "x-auth-request-id")}
    old_cookie = house.session_cookie(browser)
    house.sign_in("bob", browser=browser)
    api(house, browser)
    assert house.upstream.last.header("x-auth-request-user") == "bob"
    assert all(house.upstream.last.header(name) != value for name, value in of_alice.items())
    assert browser.get(f"{house.url}/admin/x").status_code == 403  # alice may, bob may not
    assert house.get_raw("/auth/session", cookie=old_cookie).status == 401


def test_sl_2_idle_time_ends_a_session(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house(session={"idle_seconds": 600, "absolute_seconds": 3600})
    browser = house.sign_in()
    for _ in range(3):
        clock.advance(500)
        assert api(house, browser, "/page").status_code == 200  # activity extends the session
    clock.advance(601)
    assert api(house, browser, "/page").status_code == 401
    clock.advance(-400)
    assert api(house, browser, "/page").status_code == 401  # and the session does not come back


def test_sl_2_no_request_moves_the_absolute_end(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house(session={"idle_seconds": 600, "absolute_seconds": 3600})
    browser = house.sign_in()
    end = house.session_of(browser).absolute_expires_at
    for _ in range(11):
        clock.advance(320)  # with a refresh each time
        assert api(house, browser).status_code == 200
    assert len(house.provider.grants("refresh_token")) == 11
    assert house.session_of(browser).absolute_expires_at == end
    clock.advance(3600 - 11 * 320)
    assert api(house, browser).status_code == 401


QUIET: dict[str, Callable[[House, CookieClient], object]] = {
    "the session endpoint": lambda house, browser: browser.fetch(f"{house.url}/auth/session"),
    "the health poll": lambda house, browser: browser.fetch(f"{house.url}/_stcore/health"),
    "the host configuration": lambda house, browser: browser.fetch(f"{house.url}/_stcore/host-config"),
    "a no_slide route": lambda house, browser: browser.fetch(f"{house.url}/quiet/x"),
    "a refused request": lambda house, browser: browser.fetch(f"{house.url}/page", method="POST", cross_site=True),
    "the guard script": lambda house, browser: browser.fetch(f"{house.url}/auth/guard.js"),
}


@pytest.mark.parametrize("request_", QUIET)
def test_sl_2_polling_requests_do_not_extend_the_session(
    timed_house: Callable[..., House], upstream: RecordingUpstream, clock: FakeClock, request_: str
) -> None:
    session = {"idle_seconds": 600, "absolute_seconds": 3600}
    routes = [page_route(upstream), page_route(upstream, id="quiet", path="/quiet/", no_slide=True)]
    house = timed_house(session=session, routes=routes)
    browser = house.sign_in()
    for _ in range(5):
        clock.advance(110)
        QUIET[request_](house, browser)
    clock.advance(60)
    assert api(house, browser, "/page").status_code == 401


def test_sl_2_websocket_pings_do_not_extend_the_session(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house(session={"idle_seconds": 600, "absolute_seconds": 3600})
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    answer, client = open_websocket(house.door.port, handshake("/_stcore/stream", house.host, cookie=cookie))
    assert answer.status == 101
    for _ in range(5):
        clock.advance(110)
        client.sendall(b"\x89\x80\x00\x00\x00\x00")  # a masked ping
        assert client.recv(16)[:1] == b"\x8a"
    clock.advance(60)
    client.settimeout(5)
    assert read_close(client) == (4401, "expired")
    client.close()
    assert api(house, browser, "/page").status_code == 401


def test_sl_4_two_hundred_requests_at_the_expiry_make_one_token_request(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.provider.bend.token.delay(0.3, when=is_grant("refresh_token"))
    clock.advance(LIFETIME + 1)
    cookie = house.session_cookie(browser)
    requests = [house.request(f"/api/{number}", "Sec-Fetch-Site: same-origin", cookie=cookie) for number in range(200)]
    assert {answer.status for answer in storm(house.door.port, requests)} == {200}
    (grant,) = house.provider.grants("refresh_token")
    sent = [request.header("authorization") for request in house.upstream.requests if request.path.strip("/").isdigit()]
    assert len(sent) == 200
    assert set(sent) == {f"Bearer {grant.access_token}"}
    assert house.provider.reuse_detected == []


def test_sl_6_a_slow_older_request_does_not_overwrite_newer_data(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.upstream.respond("/slow", delay=0.6, body=b"done")
    cookie = house.session_cookie(browser)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(house.get_raw, "/api/slow", "Sec-Fetch-Site: same-origin", cookie=cookie)
        house.upstream.wait_for(lambda it: bool(it.requests_to("/slow")))
        clock.advance(LIFETIME + 1)
        assert api(house, browser).status_code == 200
        refreshed = house.session_of(browser)
        assert slow.result().status == 200
    assert house.session_of(browser).tokens == refreshed.tokens
    assert house.session_of(browser).revision == refreshed.revision
    clock.advance(LIFETIME + 1)
    assert api(house, browser).status_code == 200
    assert house.provider.reuse_detected == []


def test_sl_8_invalid_grant_ends_the_session(timed_house: Callable[..., House], clock: FakeClock) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.provider.revoke_refresh_tokens(sub="alice")
    clock.advance(LIFETIME + 1)
    assert_rejected(house, lambda: api(house, browser), statuses=[401], reason="invalid_grant", token_hits=1)
    assert not house.is_signed_in(browser)


OUTAGES: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "502": {"status": 502, "body": "<html>"},
    "429": {"status": 429},
    "cut": {},
    "html": {"status": 200, "body": "<html>maintenance</html>"},
    "invalid_client": {"status": 401, "json": {"error": "invalid_client"}},
    "temporarily_unavailable": {"status": 400, "json": {"error": "temporarily_unavailable"}},
    "400 without a code": {"status": 400},
    "302": {"status": 302, "headers": {"location": "http://evil.example/"}},
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_sl_8_an_outage_ends_no_session(timed_house: Callable[..., House], clock: FakeClock, outage: str) -> None:
    house = timed_house()
    browser = house.sign_in()
    if outage == "cut":
        house.provider.bend.token.drop()
    else:
        house.provider.bend.token.raw(**OUTAGES[outage])
    clock.advance(LIFETIME - 10)  # a renewal is due, but the token is still valid, so it is sent
    assert api(house, browser).status_code == 200
    house.door.do(house.door.app.bff.tokens.drain())
    clock.advance(30)  # dead
    answer = assert_rejected(house, lambda: api(house, browser), statuses=[503], token_hits=1, events=2)
    assert int(answer.headers["retry-after"]) > 0
    assert house.is_signed_in(browser)
    house.provider.bend.token.reset()
    clock.advance(10)
    assert api(house, browser).status_code == 200


def test_sl_8_requests_during_an_outage_do_not_repeat_the_refresh(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    house.provider.clear_hits()
    house.provider.bend.token.raw(500)
    clock.advance(LIFETIME + 1)
    for _ in range(20):
        assert api(house, browser).status_code == 503
    assert len(house.provider.hits_of("token")) == 1


@pytest.mark.parametrize("path", ["/api/x", "/optional/x"])
@pytest.mark.parametrize("fault", ["outage", "invalid_grant", "no refresh token"])
def test_sl_9_a_session_without_a_usable_token_is_never_passed_on_as_anonymous(
    timed_house: Callable[..., House], clock: FakeClock, fault: str, path: str
) -> None:
    house = timed_house()
    house.provider.options.issue_refresh_tokens = fault != "no refresh token"
    browser = house.sign_in()
    if fault == "outage":
        house.provider.bend.token.raw(503)
    elif fault == "invalid_grant":
        house.provider.revoke_refresh_tokens(sub="alice")
    clock.advance(LIFETIME + 1)
    house.upstream.clear()
    answer = api(house, browser, path)
    assert answer.status_code == (503 if fault == "outage" else 401)
    assert house.upstream.requests == []
    assert house.is_signed_in(browser) is (fault != "invalid_grant")


def abort_at_random(house: House, count: int) -> None:
    """People share the door.

    Most requests are aborted at a random moment, and nobody gets an answer for somebody else.
    """
    people = [f"person{number}" for number in range(12)]
    for name in people:
        house.provider.add_person(name)
    cookies = {name: house.session_cookie(house.sign_in(name)) for name in people}

    def whose(request: Any) -> Reply:
        body = (request.header("x-auth-request-user") or "").encode()
        return Reply(body=body, delay=random.uniform(0, 0.02))

    house.upstream.respond_with("/whoami*", whose)
    wrong: list[str] = []
    whole = 0
    lock = threading.Lock()

    def work(seed: int, rounds: int) -> None:
        nonlocal whole
        dice = random.Random(seed)
        for number in range(rounds):
            name = dice.choice(people)
            head = f"GET /whoami/{seed}/{number} HTTP/1.1\r\nHost: {house.host}\r\nConnection: close\r\n"
            with connect(house.door.port) as client:
                client.sendall(f"{head}Cookie: vestibule={cookies[name]}\r\n\r\n".encode())
                if dice.random() < 0.75:
                    time.sleep(dice.uniform(0, 0.025))
                    continue
                received = b""
                while chunk := client.recv(4096):
                    received += chunk
            body = received.partition(b"\r\n\r\n")[2].decode()
            with lock:
                whole += 1
                if body != name:
                    wrong.append(f"{name} got {body[:60]}")

    with ThreadPoolExecutor(12) as pool:
        for job in [pool.submit(work, seed, count // 12) for seed in range(12)]:
            job.result()
    assert wrong == []
    assert whole > count // 8


def test_sl_11_aborted_requests_never_mix_people(house: House) -> None:
    abort_at_random(house, 720)


@pytest.mark.long
def test_sl_11_ten_thousand_aborted_requests_never_mix_people(house: House) -> None:
    abort_at_random(house, 10_000)
