"""OT: the one-time code that carries a sign-in to an app of another origin."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import pytest

from bff.contract import EndReason
from tests.fakes import FakeClock, FakeProvider, RecordingUpstream
from tests.security.house import House, open_house
from tests.security.kit_calls import (
    BINDING,
    KIT_CLIENTS,
    ORIGINS,
    Code,
    ask_token,
    binding_of,
    call,
    fetch_code,
    fetch_handle,
    kit_headers,
    redeem,
)
from tests.security.raw import storm
from tests.security.rejection import assert_rejected


@pytest.fixture(scope="module")
def shared_kit_house(shared_provider: FakeProvider, shared_upstream: RecordingUpstream) -> Iterator[House]:
    with open_house(shared_provider, shared_upstream, kit_clients=KIT_CLIENTS) as house:
        yield house


@pytest.fixture
def kit_house(
    shared_kit_house: House,
    provider: FakeProvider,
    upstream: RecordingUpstream,
    audit: list[MutableMapping[str, Any]],
) -> Iterator[House]:
    house = House(provider, upstream, shared_kit_house.door, shared_kit_house.store, audit)
    yield house
    house.close_browsers()


def test_ot_1_a_code_gives_one_handle(kit_house: House) -> None:
    code = fetch_code(kit_house)
    assert len(code.value) == 43
    answer = redeem(kit_house, code.value)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["identity"]["sub"] == "alice"
    assert kit_house.session_cookie(code.browser) not in answer.text
    assert all(secret not in answer.text for secret in kit_house.provider.issued)
    assert ask_token(kit_house, answer.json()["session_handle"]).status_code == 200


def test_ot_1_codes_do_not_repeat(kit_house: House) -> None:
    assert len({fetch_code(kit_house).value for _ in range(10)}) == 10


def test_ot_1_a_second_use_of_a_code_revokes_the_handle_of_the_first(kit_house: House) -> None:
    code = fetch_code(kit_house)
    handle = redeem(kit_house, code.value).json()["session_handle"]
    answer = redeem(kit_house, code.value)
    assert (answer.status_code, answer.json()["code"]) == (400, "kit_code")
    assert "kit_code_replayed" in [event.get("reason") for event in kit_house.refusals()]
    assert ask_token(kit_house, handle).status_code == 401
    assert not kit_house.is_signed_in(code.browser)


def test_ot_1_only_one_of_a_hundred_parallel_redemptions_succeeds(kit_house: House) -> None:
    code = fetch_code(kit_house)
    body = json.dumps({"code": code.value, "binding": BINDING}).encode()
    head = (
        f"POST /auth/kit/exchange HTTP/1.1\r\nHost: {kit_house.host}\r\nConnection: close\r\n"
        f"X-Vestibule-Kit: {kit_headers()['X-Vestibule-Kit']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answers = storm(kit_house.door.port, [head.encode() + body] * 100)
    assert sorted(answer.status for answer in answers) == [200] + [400] * 99
    won = next(answer for answer in answers if answer.status == 200)
    assert ask_token(kit_house, json.loads(won.body)["session_handle"]).status_code == 401


@pytest.mark.parametrize(("seconds", "lives"), [(59, True), (61, False), (3_000, False)])
def test_ot_1_a_code_is_valid_for_a_minute(
    timed_house: Callable[..., House], clock: FakeClock, seconds: float, lives: bool
) -> None:
    house = timed_house(kit_clients=KIT_CLIENTS)
    code = fetch_code(house)
    clock.advance(seconds)
    assert redeem(house, code.value).status_code == (200 if lives else 400)


def test_ot_2_a_code_used_by_another_app_is_refused_and_becomes_unusable(kit_house: House) -> None:
    code = fetch_code(kit_house)
    assert redeem(kit_house, code.value, client="app-b").status_code == 400
    assert redeem(kit_house, code.value).status_code == 400
    assert [event.get("reason") for event in kit_house.refusals()].count("kit_code_foreign") == 1


def test_ot_2_a_code_used_in_another_browser_is_refused_and_becomes_unusable(kit_house: House) -> None:
    attackers = fetch_code(kit_house, "bob", binding=binding_of("browser of bob"))
    assert redeem(kit_house, attackers.value, binding=BINDING).status_code == 400
    assert redeem(kit_house, attackers.value, binding=binding_of("browser of bob")).status_code == 400
    assert [event.get("reason") for event in kit_house.refusals()].count("kit_code_foreign") == 1


TARGETS = {
    "an unknown client": {"kit": "app-x", "binding": BINDING, "return_to": f"{ORIGINS['app-a']}/"},
    "no binding": {"kit": "app-a", "return_to": f"{ORIGINS['app-a']}/"},
    "a short binding": {"kit": "app-a", "binding": "x" * 42, "return_to": f"{ORIGINS['app-a']}/"},
    "a binding with odd characters": {"kit": "app-a", "binding": "=" * 43, "return_to": f"{ORIGINS['app-a']}/"},
    "the origin of another client": {"kit": "app-a", "binding": BINDING, "return_to": f"{ORIGINS['app-b']}/"},
    "nowhere": {"kit": "app-a", "binding": BINDING},
    "the front door": {"kit": "app-a", "binding": BINDING, "return_to": "/page"},
    "a longer port": {"kit": "app-a", "binding": BINDING, "return_to": f"{ORIGINS['app-a']}0/"},
    "user info": {"kit": "app-a", "binding": BINDING, "return_to": f"{ORIGINS['app-a']}@evil.com/"},
    "a sibling": {"kit": "app-a", "binding": BINDING, "return_to": "http://localhost.evil.com:8501/"},
    "a backslash": {"kit": "app-a", "binding": BINDING, "return_to": f"{ORIGINS['app-a']}\\@evil.com/"},
    "another scheme": {"kit": "app-a", "binding": BINDING, "return_to": "https://localhost:8501/"},
    "script": {"kit": "app-a", "binding": BINDING, "return_to": "javascript:alert(1)"},
}


@pytest.mark.parametrize("target", TARGETS)
def test_ot_2_codes_are_sent_only_to_the_origins_of_the_client(kit_house: House, target: str) -> None:
    logins = len(kit_house.store.logins)
    assert_rejected(kit_house, lambda: kit_house.start_login(kit_house.browser(), **TARGETS[target]), statuses=[400])
    assert len(kit_house.store.logins) == logins


ALMOST: dict[str, Callable[[House, str], Any]] = {
    "GET": lambda house, code: call(house, f"exchange?code={code}", method="GET", headers=kit_headers()),
    "HEAD": lambda house, code: call(house, f"exchange?code={code}", method="HEAD", headers=kit_headers()),
    "OPTIONS": lambda house, code: call(house, f"exchange?code={code}", method="OPTIONS", headers=kit_headers()),
    "no credential": lambda house, code: call(house, "exchange", json={"code": code, "binding": BINDING}),
    "a wrong secret": lambda house, code: redeem(house, code, headers={"X-Vestibule-Kit": "app-a:wrong"}),
    "a cookie beside": lambda house, code: redeem(house, code, headers={"Cookie": "vestibule=x"}),
    "a bearer token": lambda house, code: call(
        house, "exchange", headers={"Authorization": "Bearer x"}, json={"code": code, "binding": BINDING}
    ),
    "a form": lambda house, code: call(
        house, "exchange", headers=kit_headers(), data={"code": code, "binding": BINDING}
    ),
    "more than asked for": lambda house, code: call(
        house, "exchange", headers=kit_headers(), json={"code": code, "binding": BINDING, "client": "app-b"}
    ),
    "code as a list": lambda house, code: call(
        house, "exchange", headers=kit_headers(), json={"code": [code], "binding": BINDING}
    ),
    "no binding": lambda house, code: call(house, "exchange", headers=kit_headers(), json={"code": code}),
    "a long body": lambda house, code: call(
        house, "exchange", headers=kit_headers(), json={"code": code, "binding": "x" * 10_000}
    ),
}


@pytest.mark.parametrize("how", ALMOST)
def test_ot_3_only_an_authenticated_post_redeems_a_code(kit_house: House, how: str) -> None:
    code = fetch_code(kit_house)
    answer = ALMOST[how](kit_house, code.value)
    assert answer.status_code in (400, 401, 405, 413)
    assert code.value not in answer.text
    assert redeem(kit_house, code.value).status_code == 200


def test_ot_3_a_head_or_a_prefetch_of_the_callback_creates_no_code(kit_house: House) -> None:
    browser = kit_house.browser()
    url = kit_house.callback_url(browser, kit="app-a", binding=BINDING, return_to=f"{ORIGINS['app-a']}/page")
    assert browser.fetch(url, method="HEAD").status_code == 405
    assert browser.get(url, headers={"Sec-Purpose": "prefetch"}).status_code == 400
    assert "auth_code=" in browser.get(url).headers["location"]


ENDS: dict[str, Callable[[House, Code], Any]] = {
    "signed out": lambda house, code: code.browser.post(f"{house.url}/auth/logout"),
    "revoked": lambda house, code: house.door.do(
        house.door.app.bff.sessions.end(house.session_of(code.browser).name, EndReason.REVOKED)
    ),
    "back-channel logout": lambda house, code: house.provider.send_backchannel_logout(
        f"{house.url}/auth/backchannel-logout/corp", house.provider.logout_token(sub="alice")
    ),
    "signed in anew in the same browser": lambda house, code: house.sign_in(browser=code.browser),
}


@pytest.mark.parametrize("end", ENDS)
def test_ot_4_a_code_is_invalid_after_every_kind_of_end_of_its_session(kit_house: House, end: str) -> None:
    code = fetch_code(kit_house)
    ENDS[end](kit_house, code)
    assert redeem(kit_house, code.value).status_code == 400


def test_ot_4_a_code_is_invalid_after_the_idle_end_of_its_session(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house(kit_clients=KIT_CLIENTS, session={"idle_seconds": 20})
    code = fetch_code(house)
    clock.advance(21)
    assert redeem(house, code.value).status_code == 400


def test_ot_4_every_refusal_of_a_code_looks_the_same(kit_house: House) -> None:
    used, signed_out = fetch_code(kit_house), fetch_code(kit_house)
    redeem(kit_house, used.value)
    signed_out.browser.post(f"{kit_house.url}/auth/logout")
    answers = [
        redeem(kit_house, used.value),
        redeem(kit_house, signed_out.value),
        redeem(kit_house, fetch_code(kit_house).value, client="app-b"),
        redeem(kit_house, fetch_code(kit_house).value, binding=binding_of("another")),
        redeem(kit_house, "A" * 43),
        redeem(kit_house, "short"),
        redeem(kit_house, ""),
    ]
    assert {answer.status_code for answer in answers} == {400}
    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies == [bodies[0]] * len(bodies)


def test_ot_4_a_code_appears_in_no_log_cache_or_referer(kit_house: House) -> None:
    code = fetch_code(kit_house)
    redeem(kit_house, code.value)
    redeem(kit_house, code.value)
    assert code.value not in repr(kit_house.audit)
    assert BINDING not in repr(kit_house.audit)
    headers = code.answer.headers
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert code.answer.content == b""


def test_ot_4_guessing_finds_no_code_and_makes_no_genuine_code_unusable(kit_house: House) -> None:
    code = fetch_code(kit_house)
    for number in range(200):
        guess = code.value[:-1] + "A" if number == 0 else f"{number:043d}"
        if guess != code.value:
            assert redeem(kit_house, guess).status_code == 400
    assert redeem(kit_house, code.value).status_code == 200


def test_ot_4_guessing_is_limited_and_does_not_affect_the_genuine_code(
    kit_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = kit_house.door.app.bff.kit_codes
    monkeypatch.setattr(codes, "max_guesses", 5)
    monkeypatch.setattr("bff.kit.one_time_codes.GUESSED", "kit-code-guess-of-this-test")
    code = fetch_code(kit_house)
    answers = [redeem(kit_house, f"{number:043d}") for number in range(8)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 3
    assert answers[-1].json()["code"] == "kit_code_limit"
    assert answers[-1].headers["retry-after"] == "60"
    assert [event["reason"] for event in kit_house.audit if event["event"] == "limit_reached"] == ["kit_code_limit"] * 3
    assert redeem(kit_house, code.value).status_code == 200


def test_a_handle_of_one_app_is_refused_for_another(kit_house: House) -> None:
    handle, _ = fetch_handle(kit_house)
    assert ask_token(kit_house, handle, "other-api", client="app-b").status_code == 401
