"""An authorization response made of any bytes is read exactly, or refused."""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bff.contract import INSECURE_SESSION_COOKIE
from bff.errors import BadRequest, CallbackRejected
from bff.oidc.authorization import AuthorizationCode, AuthorizationDenied, parse_authorization_response
from bff.web.login_requests import query_pairs
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import RunningDoor, page_route, running_door

SHORT = settings(max_examples=300)
LONG = settings(max_examples=20_000)

STATE = "A" * 43
TOKENS = ("id_token", "access_token", "token", "refresh_token")
REFUSALS = {
    "callback_duplicate",
    "callback_front_channel_token",
    "callback_state",
    "callback_denied",
    "callback_malformed",
}

names = st.one_of(
    st.sampled_from(
        [
            b"code",
            b"state",
            b"iss",
            b"error",
            b"session_state",
            b"co%64e",
            b"%73tate",
            b"Code",
            b"code[]",
            b"+code",
            b"",
        ]
    ),
    st.sampled_from([name.encode() for name in TOKENS] + [b"id%5Ftoken", b"ID_TOKEN"]),
    st.binary(max_size=6),
)
values = st.one_of(
    st.sampled_from(
        [
            STATE.encode(),
            b"%41" * 43,
            STATE.encode() + b"=",
            STATE.encode() + b"%0A",
            b"c-1",
            b"c" * 4096,
            b"c" * 4097,
            b"",
            b"+",
            b"%00",
            b"%0d%0aSet-Cookie:%20x=1",
            b"%ff",
            b"%",
            b"%zz",
            b"%C3%A4",
            b"\xc3\xa4",
            b"access_denied",
            b"http%3A%2F%2Flocalhost",
            b"%26code%3Dx",
        ]
    ),
    st.binary(max_size=10),
)
parameters = st.builds(
    lambda name, sign, value: name + sign + value, names, st.sampled_from([b"=", b"", b"=="]), values
)
valid = st.just(b"state=" + STATE.encode())
queries = st.one_of(
    st.lists(parameters, max_size=6).map(b"&".join),
    st.builds(lambda some, state: b"&".join([*some, state]), st.lists(parameters, max_size=3), valid),
    st.lists(st.tuples(parameters, st.sampled_from([b"&", b";", b"&&", b"#", b"?"])), max_size=5).map(
        lambda parts: b"".join(first + second for first, second in parts)
    ),
    st.binary(max_size=60),
    st.integers(98, 103).map(lambda count: b"&".join(b"x%d=1" % index for index in range(count))),
)

Check = Callable[[bytes], None]


def read(query: bytes) -> AuthorizationCode | AuthorizationDenied | str:
    """Return what the callback reads from `query`, or the code of its refusal. Every other exception fails the test."""
    try:
        return parse_authorization_response(query_pairs(query, code="callback_malformed"))
    except BadRequest as exc:
        refusal = exc
    assert refusal.status == 400
    assert refusal.code in (REFUSALS if isinstance(refusal, CallbackRejected) else {"callback_malformed"})
    return refusal.code


def reference_pairs(query: bytes) -> list[tuple[str, str]]:
    """Form decoding by hand (WHATWG URL section 5.1), for a query that was accepted: its octets are right."""
    found = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            found.append((unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()))
    return found


def given_of(pairs: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for key, value in pairs if key == name]


def check_answer(query: bytes) -> None:
    """An accepted answer has each parameter once, no token, either code or error, and nothing that was not sent."""
    answer = read(query)
    if isinstance(answer, str):
        return
    pairs = reference_pairs(query)
    sent = [name for name, _ in pairs]
    assert len(sent) == len(set(sent)) <= 100
    assert not set(TOKENS) & set(sent)
    assert ("code" in sent and given_of(pairs, "code") != [""]) != (
        "error" in sent and given_of(pairs, "error") != [""]
    )
    assert not {"code", "error"} <= set(sent)
    assert given_of(pairs, "state") == [answer.state]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", answer.state)
    assert given_of(pairs, "iss") == ([answer.iss] if answer.iss else [])
    if isinstance(answer, AuthorizationCode):
        assert given_of(pairs, "code") == [answer.code]
        assert answer.code.isprintable()
        assert 0 < len(answer.code) <= 4096
    else:
        assert answer.error in ("", *given_of(pairs, "error"))


def check_appended(query: bytes) -> None:
    """An accepted answer with one parameter more that must not be there is refused."""
    answer = read(query)
    if isinstance(answer, str):
        return
    other = b"error=x" if isinstance(answer, AuthorizationCode) else b"code=x"
    for more in (b"state=" + STATE.encode(), other, *(name.encode() + b"=" for name in TOKENS)):
        for spoiled in (query + b"&" + more, more + b"&" + query):
            assert isinstance(read(spoiled), str), spoiled


@pytest.mark.parametrize("check", [check_answer, check_appended])
@SHORT
@given(query=queries)
@example(query=b"code=c-1&state=" + STATE.encode())
@example(query=b"error=access_denied&state=" + STATE.encode())
@example(query=b"code=%C3%A4&iss=http%3A%2F%2Fx&state=" + STATE.encode())
def test_any_callback_query_is_exact_or_refused(check: Check, query: bytes) -> None:
    check(query)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", [check_answer, check_appended])
@LONG
@given(query=queries)
def test_any_of_very_many_callback_queries_is_exact_or_refused(check: Check, query: bytes) -> None:
    check(query)


def test_a_valid_callback_is_read() -> None:
    """Otherwise the checks above could pass by refusing everything."""
    assert read(b"code=c-1&state=" + STATE.encode()) == AuthorizationCode("c-1", STATE, "")
    assert read(b"state=" + STATE.encode() + b"&error=access_denied") == AuthorizationDenied("access_denied", STATE, "")


@pytest.fixture(scope="module")
def door() -> Iterator[RunningDoor]:
    with (
        FakeProvider() as provider,
        RecordingUpstream() as upstream,
        running_door({"corp": provider}, [page_route(upstream)]) as running,
    ):
        yield running


def ask(door: RunningDoor, query: bytes) -> tuple[int, list[str]]:
    """Status and Set-Cookie values for a callback with these bytes as its query."""
    port = urlsplit(door.url).port
    connection = http.client.HTTPConnection("localhost", port, timeout=10)
    try:
        connection.putrequest("GET", "/auth/callback/corp?" + escape(query), skip_accept_encoding=True)
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        return response.status, response.headers.get_all("Set-Cookie") or []
    finally:
        connection.close()


def escape(query: bytes) -> str:
    """What cannot stand in a request line is sent percent-encoded, the rest as it is."""
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in query)


def check_door(door: RunningDoor, query: bytes) -> None:
    status, cookies = ask(door, query)
    assert 400 <= status < 500
    session = INSECURE_SESSION_COOKIE + "="
    assert not [cookie for cookie in cookies if cookie.startswith(session)]


@SHORT
@given(query=queries)
@example(query=b"code=c-1&state=" + STATE.encode())
@example(query=b"error=access_denied&state=" + STATE.encode())
def test_the_front_door_refuses_any_callback_without_a_started_sign_in(door: RunningDoor, query: bytes) -> None:
    check_door(door, query)


@pytest.mark.long
@pytest.mark.timeout(600)
@LONG
@given(query=queries)
def test_the_front_door_refuses_very_many_callbacks_without_a_started_sign_in(door: RunningDoor, query: bytes) -> None:
    check_door(door, query)
