"""The kit in a real Streamlit process, with the handshake that a front door makes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from streamlit_kit._streamlit import browser_binding
from tests.fakes import generate_key
from tests.streamlit_kit.front_door import CLIENT, HANDLE, KIT_SECRET, LOGIN_URL, KitFrontDoor
from tests.streamlit_kit.kit_page import handshake, kit_page_running
from tests.streamlit_kit.test_exchange import TOKEN, make_answer, xsrf_cookie
from tests.streamlit_kit.visitor import Sight, Visitor, visiting

PAGE = """
import json, threading
import streamlit as st
import streamlit_kit as kit

@st.cache_resource
def shared_client():
    return kit.prepare_client()

def call():
    try:
        return client.get("users/me").status_code
    except kit.KitError as error:
        return [error.code, getattr(error, "login_url", "")]

person = kit.current_user()
client = kit.prepare_client()
seen = {"sub": person.sub if person else None, "roles": person.roles if person else [], "client": repr(client)}
if "call" in st.query_params:
    seen["call"] = call()
if "thread" in st.query_params:
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    seen["thread"] = results[0]
if "shared" in st.query_params:
    try:
        seen["shared"] = shared_client().get("users/me").status_code
    except kit.KitError as error:
        seen["shared"] = error.code
st.text(json.dumps(seen))
kit.require_login()
st.text("inside")
"""

OTHER_ORIGIN = "http://elsewhere.example:8501"


@pytest.fixture(scope="module")
def page_port(running_door: KitFrontDoor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with kit_page_running(PAGE, tmp_path_factory.mktemp("page"), running_door) as port:
        yield port


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(page_port: int) -> Iterator[Visit]:
    with ExitStack() as tabs:
        yield lambda *headers: tabs.enter_context(visiting(page_port, headers))


def seen(sight: Sight) -> dict[str, Any]:
    assert not sight.exceptions
    found: dict[str, Any] = json.loads(sight.texts[0])
    return found


def test_a_page_knows_its_person_from_the_handshake_and_calls_the_api_for_them(
    door: KitFrontDoor, page_port: int, visit: Visit
) -> None:
    sight = visit(*handshake(door, page_port)).run(query={"call": "1", "thread": "1"})
    assert seen(sight) | {"client": ""} == {
        "sub": "alice",
        "roles": ["analyst"],
        "client": "",
        "call": 200,
        "thread": 200,
    }
    assert sight.texts[1:] == ("inside",)
    assert HANDLE not in "".join(sight.texts)
    calls = door.server.requests_to("/api/users/me")
    assert [call.header("X-Vestibule-Session") for call in calls] == [HANDLE, HANDLE]
    assert calls[0].header("X-Vestibule-Kit") == f"{CLIENT}:{KIT_SECRET}"


def test_without_a_session_the_page_offers_a_sign_in_that_leads_back(visit: Visit) -> None:
    sight = visit(("X-Vestibule-Assertion", ""), ("X-Vestibule-Session", "")).run(path="/reports", query={"a": "b c"})
    assert seen(sight)["sub"] is None
    assert sight.texts[1:] == ()
    assert 'href="/auth/login?return_to=/reports%3Fa%3Db%2520c"' in sight.html


def test_an_invalid_assertion_signs_nobody_in(door: KitFrontDoor, page_port: int, visit: Visit) -> None:
    good = handshake(door, page_port)
    forged = handshake(door, page_port, key=generate_key("ES256", kid="key-1"))
    over = handshake(door, page_port, exp=int(time.time()) - 1)
    for headers in (forged, over, good[:1], good[1:], (*good, good[0]), (*good, ("X-Vestibule-Session", "other"))):
        sight = visit(*headers).run()
        assert seen(sight)["sub"] is None
        assert sight.texts[1:] == ()


def test_a_client_in_a_shared_cache_does_not_work_for_another_person(
    door: KitFrontDoor, page_port: int, visit: Visit
) -> None:
    alice = visit(*handshake(door, page_port, handle="alice-handle"))
    bob = visit(*handshake(door, page_port, sub="bob", handle="bob-handle"))
    assert seen(alice.run(query={"shared": "1"}))["shared"] == 200
    door.server.clear()
    assert seen(bob.run(query={"shared": "1"}))["shared"] == "client_of_another_page"
    assert not door.server.requests_to("/api/users/me")


def test_a_call_notices_the_end_of_the_session(door: KitFrontDoor, page_port: int, visit: Visit) -> None:
    door.problem("/api/users/me", 401, "session_ended")
    sight = visit(*handshake(door, page_port)).run(query={"call": "1"})
    assert seen(sight)["call"] == ["session_ended", f"{LOGIN_URL}%3Fcall%3D1"]


def test_a_wrong_client_name_is_explained(door: KitFrontDoor, page_port: int, visit: Visit) -> None:
    sight = visit(*handshake(door, page_port, aud="kit:other")).run()
    assert "VESTIBULE_KIT__CLIENT" in sight.exceptions[0]
    assert not sight.texts


class Elsewhere:
    """A tab on a Streamlit that is not behind the front door, with the XSRF cookie of its browser."""

    def __init__(self, visit: Visit) -> None:
        self.tab = visit(("Cookie", f"_streamlit_xsrf={xsrf_cookie(TOKEN, b'abcd')}"))

    def run(self, **query: str) -> Sight:
        return self.tab.run(url=OTHER_ORIGIN, path="/reports", query=query)


def test_on_another_origin_the_sign_in_has_the_client_and_the_binding_of_the_browser(
    page_port: int, visit: Visit
) -> None:
    sight = Elsewhere(visit).run(a="b")
    binding = browser_binding(xsrf_cookie(TOKEN, b"abcd"))
    link = f"http://localhost:{page_port}/auth/login?kit={CLIENT}&amp;binding={binding}"
    assert f'href="{link}&amp;return_to=http%3A%2F%2Felsewhere.example%3A8501%2Freports%3Fa%3Db"' in sight.html


def test_on_another_origin_a_code_is_redeemed_once_and_removed_from_the_address(
    door: KitFrontDoor, visit: Visit
) -> None:
    door.server.respond("/auth/kit/exchange", json=make_answer())
    page = Elsewhere(visit)
    first = page.run(auth_code="one-time", a="b")
    assert seen(first)["sub"] == "alice"
    assert first.queries[-1] == "a=b"
    again = page.run(a="b", call="1")
    assert (seen(again)["sub"], seen(again)["call"]) == ("alice", 200)
    exchanges = door.server.requests_to("/auth/kit/exchange")
    assert [exchange.json() for exchange in exchanges] == [
        {"code": "one-time", "binding": browser_binding(xsrf_cookie(TOKEN, b"wxyz"))}
    ]
    assert door.server.last.header("X-Vestibule-Session") == "exchanged.handle"
    assert seen(Elsewhere(visit).run())["sub"] is None


def test_on_another_origin_the_end_of_the_session_signs_the_tab_out(door: KitFrontDoor, visit: Visit) -> None:
    door.server.respond("/auth/kit/exchange", json=make_answer())
    page = Elsewhere(visit)
    page.run(auth_code="one-time")
    door.problem("/api/users/me", 401, "session_ended")
    assert seen(page.run(call="1"))["call"][0] == "session_ended"
    assert seen(page.run())["sub"] is None


def test_on_another_origin_a_refused_code_signs_nobody_in_and_is_removed_from_the_address(
    door: KitFrontDoor, visit: Visit
) -> None:
    door.problem("/auth/kit/exchange", 400, "code_used")
    sight = Elsewhere(visit).run(auth_code="one-time")
    assert seen(sight)["sub"] is None
    assert sight.queries[-1] == ""


def test_on_another_origin_an_outage_keeps_the_code(door: KitFrontDoor, visit: Visit) -> None:
    door.problem("/auth/kit/exchange", 503, "store_unavailable")
    page = Elsewhere(visit)
    sight = page.run(auth_code="one-time")
    assert sight.exceptions
    assert not sight.queries
    door.server.respond("/auth/kit/exchange", json=make_answer())
    assert seen(page.run(auth_code="one-time"))["sub"] == "alice"


def test_behind_the_front_door_a_code_in_the_address_is_ignored(door: KitFrontDoor, visit: Visit) -> None:
    cookie = ("Cookie", f"_streamlit_xsrf={xsrf_cookie(TOKEN, b'abcd')}")
    sight = visit(cookie, ("X-Vestibule-Session", "")).run(query={"auth_code": "one-time"})
    assert seen(sight)["sub"] is None
    assert not door.server.requests_to("/auth/kit/exchange")
