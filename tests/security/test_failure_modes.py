"""FM-3, FM-4, FM-7: changed records, a provider that is unreachable, and code that fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from bff.contract import EndReason
from bff.sessions.lifecycle import RECORD_PURPOSE
from bff.sessions.record import dump_session
from bff.stores.events import SessionChanged
from gateway import admission, pipeline
from gateway.access import origins
from gateway.relay import relaying
from tests.fakes import FakeClock, FakeProvider, is_grant
from tests.security.house import House
from tests.security.raw import RawAnswer, handshake, storm, websocket_status

FOREVER = 10.0**9
LIFETIME = 300
PEOPLE = 50
READ = "Sec-Fetch-Site: same-origin"


def plant(house: House, name: str, sealed: Any, *, revision: int = 0, absolute: float = 4 * FOREVER) -> None:
    """Put `sealed` under `name`, as somebody who can write to the store could, with a life that is long enough."""

    async def write() -> None:
        await house.store.delete(name)
        await house.store.create(name, sealed, owners=[], idle_seconds=FOREVER, absolute_expires_at=absolute)
        for number in range(revision):
            await house.store.replace(name, sealed, revision=number)
        await house.store.publish(SessionChanged(name))

    house.door.do(write())


def sealed_of(house: House, name: str) -> bytes:
    record = house.door.do(house.store.load(name))
    assert record is not None
    return record.sealed


def assert_nobody(house: House, cookie: str, *strangers: str) -> None:
    """Check that `cookie` signs nobody in anywhere and shows no data of `strangers`."""
    house.upstream.clear()
    for path in ("/api/x", "/models/x", "/auth/session", "/auth/sessions"):
        answer = house.get_raw(path, READ, cookie=cookie)
        assert answer.status == 401, (path, answer.received)
        assert all(stranger.encode() not in answer.received for stranger in strangers)
    assert websocket_status(house.door.port, handshake("/_stcore/stream", house.host, cookie=cookie)) == 401
    assert house.upstream.requests == []


GARBAGE: dict[str, Any] = {
    "nothing": b"",
    "one byte": b"\x00",
    "text": b"alice",
    "JSON": b'{"sub": "alice"}',
    "random": bytes(range(256)) * 4,
    "a str": "alice",
    "a number": 5,
    "None": None,
    "a list": [b"alice"],
    "a table": {"sub": "alice"},
}


@pytest.mark.parametrize("what", GARBAGE)
def test_fm_3_a_record_of_random_bytes_signs_nobody_in(house: House, what: str) -> None:
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    plant(house, house.session_of(browser).name, GARBAGE[what])
    assert_nobody(house, cookie, "alice")


@pytest.mark.parametrize("change", ["cut", "longer", "one bit"])
def test_fm_3_a_damaged_record_signs_nobody_in(house: House, change: str) -> None:
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    sealed = sealed_of(house, name)
    damaged = {
        "cut": sealed[:-1],
        "longer": sealed + b"\x00",
        "one bit": sealed[:-1] + bytes([sealed[-1] ^ 1]),
    }[change]
    plant(house, name, damaged)
    assert_nobody(house, cookie, "alice")


def without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


SCHEMAS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "null": lambda _: None,
    "a number": lambda _: 1,
    "a text": lambda _: "alice",
    "a list": lambda table: [table],
    "empty": lambda _: {},
    "no identity": lambda table: without(table, "identity"),
    "no tokens": lambda table: without(table, "tokens"),
    "no end": lambda table: without(table, "absolute_expires_at"),
    "no start": lambda table: without(table, "login_started_at"),
    "a field more": lambda table: {**table, "is_admin": True},
    "a name of its own": lambda table: {**table, "name": "other"},
    "identity is null": lambda table: {**table, "identity": None},
    "identity is a text": lambda table: {**table, "identity": "alice"},
    "roles are null": lambda table: {**table, "identity": {**table["identity"], "roles": None}},
    "a role is a number": lambda table: {**table, "identity": {**table["identity"], "roles": [1]}},
    "sub is a number": lambda table: {**table, "identity": {**table["identity"], "sub": 5}},
    "tokens are a list": lambda table: {**table, "tokens": []},
    "the token is a number": lambda table: {**table, "tokens": {**table["tokens"], "access_token": 5}},
    "the token ends as text": lambda table: {**table, "tokens": {**table["tokens"], "expires_at": "soon"}},
    "the end is a text": lambda table: {**table, "absolute_expires_at": "never"},
    "the end is null": lambda table: {**table, "absolute_expires_at": None},
    "the start is a text": lambda table: {**table, "login_started_at": "2020"},
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_fm_3_a_validly_sealed_record_of_another_schema_signs_nobody_in(house: House, schema: str) -> None:
    browser = house.sign_in()
    cookie, session = house.session_cookie(browser), house.session_of(browser)
    data = json.dumps(SCHEMAS[schema](json.loads(dump_session(session)))).encode()
    plant(house, session.name, house.door.app.bff.keyring.seal(data, purpose=RECORD_PURPOSE, name=session.name))
    assert_nobody(house, cookie)


def test_fm_3_an_unchanged_record_signs_in(house: House) -> None:
    browser = house.sign_in()
    name = house.session_of(browser).name
    plant(house, name, sealed_of(house, name))
    assert house.get_raw("/api/x", READ, cookie=house.session_cookie(browser)).status == 200


def test_fm_3_a_record_with_another_name_signs_nobody_in(house: House) -> None:
    alice, bob = house.sign_in(), house.sign_in("bob")
    name_of_bob, cookie = house.session_of(bob).name, house.session_cookie(bob)
    plant(house, name_of_bob, sealed_of(house, house.session_of(alice).name))
    assert_nobody(house, cookie, "alice", "bob")
    assert house.who(alice) == "alice"


def test_fm_3_older_content_with_the_current_revision_signs_nobody_in(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    browser = house.sign_in()
    cookie, name = house.session_cookie(browser), house.session_of(browser).name
    older = sealed_of(house, name)
    clock.advance(LIFETIME + 1)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert house.session_of(browser).revision == 1
    plant(house, name, older, revision=1)
    assert_nobody(house, cookie, "alice")


def test_fm_3_lost_writes_restore_no_ended_session_and_extend_no_session(
    timed_house: Callable[..., House], clock: FakeClock
) -> None:
    house = timed_house()
    sessions = house.door.app.bff.sessions
    browser = house.sign_in()
    cookie, session = house.session_cookie(browser), house.session_of(browser)
    sealed = sealed_of(house, session.name)
    clock.advance(session.absolute_expires_at - clock() - 5)
    plant(house, session.name, sealed)
    assert house.get_raw("/page", READ, cookie=cookie).status == 200  # the same record, which has not expired
    house.door.do(sessions.end_person(house.provider.issuer, "alice", EndReason.REVOKED))
    plant(house, session.name, sealed)
    assert_nobody(house, cookie, "alice")
    bob = house.sign_in("bob")
    cookie, session = house.session_cookie(bob), house.session_of(bob)
    sealed = sealed_of(house, session.name)
    clock.advance(session.absolute_expires_at - clock())
    plant(house, session.name, sealed)
    assert_nobody(house, cookie, "bob")


@pytest.fixture
def own_provider() -> Iterator[FakeProvider]:
    with FakeProvider(auto_login="alice") as fake:
        yield fake


def ask(house: House, cookies: list[str]) -> list[RawAnswer]:
    return storm(house.door.port, [house.request("/api/x", READ, cookie=cookie) for cookie in cookies])


def test_fm_4_an_outage_of_the_provider_ends_no_session_and_its_end_causes_few_requests(
    timed_house: Callable[..., House], clock: FakeClock, own_provider: FakeProvider
) -> None:
    house = timed_house(own_provider=own_provider)
    own_provider.clock = clock
    cookies = [house.session_cookie(house.sign_in()) for _ in range(PEOPLE)]
    own_provider.stop()
    own_provider.clear_hits()
    clock.advance(LIFETIME - 20)  # due, and alive
    assert {answer.status for answer in ask(house, cookies)} == {200}
    house.door.do(house.door.app.bff.tokens.drain())
    clock.advance(30)  # dead
    answers = ask(house, cookies)
    assert {answer.status for answer in answers} == {503}
    assert all(int(answer.header("retry-after")) > 0 for answer in answers)
    assert all(house.get_raw("/auth/session", cookie=cookie).status == 200 for cookie in cookies[:3])

    own_provider.start()
    waiting, granted = list(cookies), [0]
    for _ in range(16):
        clock.advance(0.5)
        answers = ask(house, waiting)
        assert {answer.status for answer in answers} <= {200, 503}
        waiting = [cookie for cookie, answer in zip(waiting, answers, strict=True) if answer.status == 503]
        granted.append(len(refresh_hits(own_provider)))
    steps = [after - before for before, after in pairwise(granted)]
    assert waiting == []
    assert sum(steps) == PEOPLE, "one grant for each session, and no more"
    assert max(steps) <= PEOPLE // 2, f"everybody came at once: {steps}"
    assert len([step for step in steps if step]) >= 4, f"the return is not spread out: {steps}"
    assert own_provider.reuse_detected == []
    assert {answer.status for answer in ask(house, cookies * 2)} == {200}
    assert len(refresh_hits(own_provider)) == PEOPLE


def refresh_hits(provider: FakeProvider) -> list[Any]:
    return [hit for hit in provider.hits_of("token") if is_grant("refresh_token")(hit)]


def test_fm_4_a_sign_in_at_an_unreachable_provider_gets_a_503_page(
    timed_house: Callable[..., House], own_provider: FakeProvider, clock: FakeClock
) -> None:
    house = timed_house(own_provider=own_provider)
    begun = house.browser()
    callback = house.callback_url(begun)
    own_provider.stop()
    clock.advance(30)
    never_asked = timed_house(own_provider=own_provider, session={"idle_seconds": 3600})
    for browser, url in (
        (begun, callback),
        (house.browser(), f"{house.url}/auth/login"),  # well known, and gone
        (never_asked.browser(), f"{never_asked.url}/auth/login"),
    ):
        answer = browser.get(url)
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        assert int(answer.headers["retry-after"]) > 0
        assert own_provider.issuer not in answer.text
    assert house.store.sessions == []
    assert len(house.store.logins) == 1, "nothing is begun that cannot be finished"
    own_provider.start()
    clock.advance(2)
    house.sign_in()
    never_asked.sign_in()


def explode(*_: object, **__: object) -> None:
    raise RuntimeError("canary of the inner workings")


FAILING: dict[str, tuple[object, str]] = {
    "the policy": (admission, "decide"),
    "the header builder": (pipeline, "build_headers"),
    "the activity rule": (pipeline, "is_activity"),
    "the origin rule": (origins, "check_same_origin"),
    "the method rule": (admission, "is_method_allowed"),
    "the Streamlit rule": (admission, "is_denied"),
    "the kit rule": (admission, "check_kit_route"),
    "the target": (relaying, "forward_target"),
}


@pytest.mark.parametrize("part", FAILING)
@pytest.mark.parametrize("path", ["/api/x", "/models/x"])
def test_fm_7_an_error_in_any_part_of_the_decision_denies_access(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str, path: str
) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    where, name = FAILING[part]
    monkeypatch.setattr(where, name, explode)
    assert_internal_error(house.get_raw(path, READ, cookie=cookie))
    assert house.upstream.requests == []
    monkeypatch.undo()
    assert house.get_raw(path, READ, cookie=cookie).status == 200


def assert_internal_error(answer: RawAnswer) -> None:
    assert answer.status == 500
    assert answer.header("content-type") == "application/problem+json"
    body = json.loads(answer.body)
    assert (body["code"], body["request_id"]) == ("internal_error", answer.header("x-request-id"))
    assert body["request_id"]
    assert b"canary" not in answer.received


@pytest.mark.parametrize("part", ["the policy", "the header builder", "the kit rule", "the target"])
def test_fm_7_an_error_in_any_part_of_the_decision_opens_no_socket(
    house: House, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    cookie = house.session_cookie(house.sign_in())
    request = handshake("/_stcore/stream", house.host, cookie=cookie)
    before = len(house.upstream.websockets)
    monkeypatch.setattr(*FAILING[part], explode)
    assert websocket_status(house.door.port, request) == 500
    assert len(house.upstream.websockets) == before
    monkeypatch.undo()
    assert websocket_status(house.door.port, request) == 101


@pytest.mark.parametrize("verdict", [None, True, "allowed", object()], ids=["None", "True", "a text", "an object"])
def test_fm_7_an_unknown_decision_denies_access(house: House, monkeypatch: pytest.MonkeyPatch, verdict: object) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.upstream.clear()
    monkeypatch.setattr(admission, "decide", lambda *_, **__: verdict)
    assert_internal_error(house.get_raw("/api/x", READ, cookie=cookie))
    assert house.upstream.requests == []


def test_fm_7_an_error_while_changing_the_answer_sends_nothing_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    cookie = house.session_cookie(house.sign_in())
    house.upstream.respond("/secret", body=b"canary of the upstream", headers={"X-Canary": "canary"})
    monkeypatch.setattr(relaying, "make_private", explode)
    assert_internal_error(house.get_raw("/api/secret", READ, cookie=cookie))
