"""SL: an ended session is over everywhere, even for requests that are running at that moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bff.contract import EndReason
from bff.stores.events import SessionChanged
from tests.fakes import CookieClient, FakeClock, is_grant
from tests.security.house import House
from tests.security.raw import connect, handshake, open_websocket, read_close
from tests.security.session_calls import LIFETIME, api

STEADY: list[bytes | str | float] = [0.05, b"data: 2\n\n"] * 200


def sessions_of(house: House) -> Any:
    return house.door.app.bff.sessions


ENDINGS: dict[str, Callable[[House, CookieClient], object]] = {
    "the session": lambda house, browser: house.door.do(
        sessions_of(house).end(house.session_of(browser).name, EndReason.REVOKED)
    ),
    "the person": lambda house, browser: house.door.do(
        sessions_of(house).end_person(house.provider.issuer, "alice", EndReason.REVOKED)
    ),
    "the provider's session": lambda house, browser: house.door.do(
        sessions_of(house).end_provider_session(house.provider.issuer, house.session_of(browser).sid, EndReason.REVOKED)
    ),
}


def sign_out(house: House, browser: CookieClient) -> object:
    return browser.post(f"{house.url}/auth/logout")


@pytest.mark.parametrize("ending", [*ENDINGS, "signing out"])
def test_sl_7_a_session_revoked_during_a_refresh_stays_ended(
    timed_house: Callable[..., House], clock: FakeClock, ending: str
) -> None:
    house = timed_house()
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    end = ENDINGS.get(ending, sign_out)
    gate = house.provider.bend.token.hold(when=is_grant("refresh_token"))
    clock.advance(LIFETIME + 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(house.get_raw, "/api/late", "Sec-Fetch-Site: same-origin", cookie=cookie)
        gate.wait_arrived()
        end(house, browser)
        gate.release()
        assert waiting.result().status == 401
    house.door.do(house.door.app.bff.tokens.drain())
    assert house.upstream.requests_to("/late") == []
    assert house.door.do(house.store.load(name)) is None
    assert house.get_raw("/auth/session", cookie=cookie).status == 401


@pytest.mark.parametrize("ending", ["the person", "the provider's session"])
def test_sl_7_a_revocation_during_a_sign_in_stops_the_sign_in(house: House, ending: str) -> None:
    browser = house.browser()
    url = house.callback_url(browser)
    gate = house.provider.bend.userinfo.hold()
    before = len(house.store.sessions)
    with ThreadPoolExecutor(1) as pool:
        finishing = pool.submit(browser.get, url)
        gate.wait_arrived()
        if ending == "the person":
            house.door.do(sessions_of(house).end_person(house.provider.issuer, "alice", EndReason.REVOKED))
        else:
            sid = house.provider.logins("alice")[-1].sid
            house.door.do(sessions_of(house).end_provider_session(house.provider.issuer, sid, EndReason.REVOKED))
        gate.release()
        answer = finishing.result()
    assert answer.status_code == 400
    assert not house.is_signed_in(browser)
    for name in house.store.sessions[before:]:
        assert house.door.do(house.store.load(name)) is None
    house.sign_in(browser=browser)  # a later sign-in works


def test_sl_7_a_running_request_does_not_restore_an_ended_session(house: House) -> None:
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    house.upstream.respond("/slow", delay=0.5, body=b"done")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(house.get_raw, "/slow", cookie=cookie)
        house.upstream.wait_for(lambda it: bool(it.requests_to("/slow")))
        ENDINGS["the person"](house, browser)
        assert b"done" not in slow.result().body
    assert house.door.do(house.store.load(name)) is None
    assert house.get_raw("/page", "Sec-Fetch-Mode: cors", cookie=cookie).status == 401


def test_sl_7_a_running_read_does_not_cache_an_ended_session(build_house: Callable[..., House]) -> None:
    house = build_house()
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    house.door.do(house.store.publish(SessionChanged(name)))  # so that the next request reads the store
    house.store.pause_after_load = 0.4
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(house.get_raw, "/page", "Sec-Fetch-Mode: cors", cookie=cookie)
        time.sleep(0.15)
        house.door.do(sessions_of(house).end(name, EndReason.REVOKED))
        assert reading.result().status in (200, 401)  # it began before the end
    house.store.pause_after_load = 0
    assert house.get_raw("/page", "Sec-Fetch-Mode: cors", cookie=cookie).status == 401


REVOCATIONS: dict[str, Callable[[House, CookieClient], object]] = {
    **ENDINGS,
    "everybody": lambda house, browser: house.door.do(sessions_of(house).end_everybody(EndReason.REVOKED)),
}


@pytest.mark.parametrize("by", REVOCATIONS)
def test_sl_10_a_revocation_takes_effect_everywhere_soon(house: House, by: str) -> None:
    browser, bystander = house.sign_in("alice"), house.sign_in("bob")
    cookie = house.session_cookie(browser)
    events: list[bytes | str | float] = [b"data: 1\n\n", *STEADY]
    house.upstream.respond("/events", stream=events, chunked=True)
    _, websocket = open_websocket(house.door.port, handshake("/ws", house.host, cookie=cookie))
    stream = connect(house.door.port)
    stream.sendall(f"GET /events HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n\r\n".encode())
    assert b"data: 1" in stream.recv(4096) + stream.recv(4096)
    assert api(house, browser).status_code == 200  # in the cache now
    REVOCATIONS[by](house, browser)
    started = time.monotonic()
    assert api(house, browser).status_code == 401
    assert house.get_raw("/auth/session", cookie=cookie).status == 401
    assert read_close(websocket) == (4401, "revoked")
    while stream.recv(65_536):
        pass
    assert time.monotonic() - started < 10, "what waits for a cache to forget takes thirty seconds"
    for client in (websocket, stream):
        client.close()
    house.upstream.wait_for(lambda it: not it.websockets_open)
    assert house.is_signed_in(bystander) is (by != "everybody")


def test_sl_10_a_revocation_ends_only_the_person_of_that_issuer(house: House) -> None:
    browser = house.sign_in("alice")
    house.door.do(sessions_of(house).end_person("https://other.example", "alice", EndReason.REVOKED))
    house.door.do(sessions_of(house).end_person(house.provider.issuer, "alic", EndReason.REVOKED))
    house.door.do(sessions_of(house).end_person(house.provider.issuer, "*", EndReason.REVOKED))
    assert house.is_signed_in(browser)


def test_sl_10_a_disabled_person_loses_access_at_the_next_refresh(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in("bob")
    house.provider.people["bob"].enabled = False
    try:
        clock.advance(LIFETIME + 1)
        assert api(house, browser).status_code == 401
        assert not house.is_signed_in(browser)
    finally:
        house.provider.people["bob"].enabled = True


def test_sl_10_revocations_under_load_leave_no_outdated_answers(house: House) -> None:
    """Many requests use the cache while the session ends. No request that began after the end is let in."""
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    ended_at: list[float] = []
    seen: list[tuple[float, int]] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            began = time.monotonic()
            answer = house.get_raw("/api/x", "Sec-Fetch-Site: same-origin", cookie=cookie)
            seen.append((began, answer.status))

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(hammer) for _ in range(4)]
        time.sleep(0.2)
        ENDINGS["the person"](house, browser)
        ended_at.append(time.monotonic())
        time.sleep(0.2)
        stop.set()
        for worker in workers:
            worker.result()
    assert {status for _, status in seen} == {200, 401}
    assert {status for began, status in seen if began > ended_at[0]} == {401}
