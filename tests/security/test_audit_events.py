"""LG-3: each thing that happens leaves exactly one event that says what, to whom, from where, and nothing secret."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from bff.audit import masked
from bff.errors import StoreUnavailable
from bff.stores.events import SessionChanged
from tests.fakes import FakeClock, FakeProvider, RecordingUpstream, is_grant
from tests.front_door import api_route, page_route
from tests.security.audit_log import READ, TRUST, assert_where, assert_whom, only_event
from tests.security.house import House, location_query
from tests.security.raw import RawAnswer, handshake, open_websocket

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def test_lg_3_a_sign_in_is_one_event_at_its_start_and_one_at_its_end(house: House) -> None:
    browser = house.browser()
    started, event = only_event(house, lambda: house.start_login(browser), "login_started")
    assert_where(event, started)
    back = browser.follow(started).headers["location"]
    answer, event = only_event(house, lambda: browser.get(back), "login_ok")
    assert_whom(event, house.session_of(browser))
    assert_where(event, answer)


@pytest.mark.parametrize("error", ["access_denied", "server_error", "temporarily_unavailable", "login_required"])
def test_lg_3_a_refusal_by_the_provider_is_one_failed_sign_in(house: House, error: str) -> None:
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
def test_lg_3_a_failed_sign_in_is_one_event_with_its_reason(house: House, case: str) -> None:
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


def test_lg_3_a_refused_logout_token_is_one_event(house: House) -> None:
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
def test_lg_3_a_failed_refresh_is_one_event(
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


def test_lg_3_too_many_started_sign_ins_are_one_event(build_house: Callable[..., House]) -> None:
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
