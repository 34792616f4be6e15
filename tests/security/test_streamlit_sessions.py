"""WS-4, WS-6: a Streamlit session and its uploads belong to the person on whose socket the app announced it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.sessions.keyring import Keyring
from gateway.streamlit.sessions import StreamlitSessions
from tests.fakes import CookieClient
from tests.front_door import KEY, page_route
from tests.ports import free_port
from tests.security.house import House
from tests.security.raw import handshake, open_websocket
from tests.security.resuming import new_session
from tests.streamlit_kit.visitor import streamlit_running
from tests.streamlit_tab import UNKNOWN_UPLOAD, UPLOADER, StreamlitTab, tab_at, upload

OpenTab = Callable[..., StreamlitTab]


@pytest.fixture(scope="module")
def streamlit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Streamlit that was started by hand, without a mapped identity header."""
    script = tmp_path_factory.mktemp("page") / "page.py"
    script.write_text(UPLOADER)
    port = free_port()
    with streamlit_running(Path(script), port, {}):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def pages(build_house: Callable[..., House], streamlit: str) -> House:
    return build_house(routes=[page_route(streamlit)])


@pytest.fixture
def open_tab(stack: ExitStack) -> OpenTab:
    return lambda browser, page, **how: stack.enter_context(tab_at(browser, page, **how))


def sessions_of(house: House) -> StreamlitSessions:
    return house.door.app.pipeline._relaying.streamlit


def reasons(house: House) -> list[str]:
    return [event["reason"] for event in house.refusals()]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_ws_6_only_the_person_of_a_page_can_upload_to_it(pages: House, open_tab: OpenTab, method: str) -> None:
    alice, bob = pages.sign_in("alice"), pages.sign_in("bob")
    tab, other = open_tab(alice, pages.url), open_tab(bob, pages.url)
    tab.run(), other.run()
    address = tab.ask_for_address()
    pages.audit.clear()
    refused = upload(bob, pages.url, address, method=method)
    assert (refused.status_code, refused.json()["code"]) == (403, "upload_not_yours")
    (event,) = pages.refusals()
    assert (event["event"], event["reason"], event["route"]) == ("access_denied", "upload_not_yours", "dashboards")
    assert "subject" in event, "the event says who it was"
    assert upload(alice, pages.url, address, method=method).status_code == 204
    assert upload(bob, pages.url, other.ask_for_address()).status_code == 204


def test_ws_6_the_owner_of_an_upload_is_the_person_and_not_the_session(pages: House, open_tab: OpenTab) -> None:
    alice = pages.sign_in("alice")
    tab = open_tab(alice, pages.url)
    session_id, address = tab.run(), tab.ask_for_address()
    assert upload(pages.sign_in("alice"), pages.url, address).status_code == 204, "from another browser of hers"
    pages.sign_in("alice", browser=alice, path="/auth/login?prompt=login")
    assert tab.close_code() == 1012, "the page reconnects"
    open_tab(alice, pages.url, resume=session_id)
    assert upload(alice, pages.url, address).status_code == 204, "after she signed in anew"


def test_ws_6_several_tabs_and_a_resumed_tab_can_upload(pages: House, open_tab: OpenTab) -> None:
    alice = pages.sign_in("alice")
    first, second = open_tab(alice, pages.url), open_tab(alice, pages.url)
    assert first.run() != second.run()
    address = first.ask_for_address()
    assert upload(alice, pages.url, address).status_code == 204
    assert upload(alice, pages.url, second.ask_for_address()).status_code == 204
    first.socket.close()
    again = open_tab(alice, pages.url, resume=first.session_id)
    assert upload(alice, pages.url, address, method="DELETE").status_code == 204, "before the app said anything"
    assert upload(alice, pages.url, again.ask_for_address()).status_code == 204
    assert again.run() == first.session_id
    assert pages.refusals() == []


def test_ws_4_another_person_cannot_resume_a_session(pages: House, open_tab: OpenTab) -> None:
    alice, bob = pages.sign_in("alice"), pages.sign_in("bob")
    tab = open_tab(alice, pages.url)
    session_id, address = tab.run(), tab.ask_for_address()
    intruder = open_tab(bob, pages.url, resume=session_id)
    assert intruder.run() != session_id
    assert reasons(pages) == ["streamlit_session_not_yours"]
    assert upload(bob, pages.url, address).status_code == 403
    assert upload(bob, pages.url, intruder.ask_for_address()).status_code == 204
    assert tab.run() == session_id, "and hers goes on"


@pytest.mark.parametrize(
    "subprotocols", ["streamlit, x, {id}", "streamlit, x, {id}, y", "streamlit, x, {id}, {id}", "streamlit, , {id}"]
)
def test_ws_4_a_session_id_of_another_person_is_not_passed_on_to_the_app(house: House, subprotocols: str) -> None:
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    house.upstream.websocket("/_stcore/stream", on_open=lambda opened: opened.send(new_session("alices-session")))
    client = hear(house, alice, "alices-session")
    house.upstream.websocket("/_stcore/stream")
    text = subprotocols.replace("{id}", "alices-session")
    answer, second = open_websocket(
        house.door.port,
        handshake("/_stcore/stream", house.host, cookie=house.session_cookie(bob), subprotocols=text),
    )
    assert answer.status == 101
    assert house.upstream.websockets[-1].request.header("sec-websocket-protocol") in ("streamlit, x", "streamlit, ")
    client.close()
    second.close()


def test_ws_6_sending_a_session_id_alone_does_not_make_a_person_its_owner(pages: House, open_tab: OpenTab) -> None:
    bob = pages.sign_in("bob")
    session_id = UNKNOWN_UPLOAD.split("/")[3]
    tab = open_tab(bob, pages.url, resume=session_id)
    assert tab.run() != session_id
    assert upload(bob, pages.url, UNKNOWN_UPLOAD).status_code == 403


def test_ws_4_a_socket_is_closed_when_the_app_resumes_the_session_of_another_person(
    house: House, open_tab: OpenTab
) -> None:
    """What an app announces on Bob's socket does not make Alice's session his."""
    house.upstream.websocket("/_stcore/stream", on_open=lambda opened: opened.send(new_session("alices-session-2")))
    hers = open_tab(house.sign_in("alice"), house.url)
    assert hers.receive().new_session.initialize.session_id == "alices-session-2"
    assert open_tab(house.sign_in("bob"), house.url).close_code() == 4403
    assert reasons(house) == ["streamlit_session_not_yours"]


def test_ws_4_a_socket_that_announces_a_second_session_is_closed(house: House, open_tab: OpenTab) -> None:
    def announce(opened: Any) -> None:
        for session_id in ("one-session", "one-session", "two-session"):
            opened.send(new_session(session_id))

    house.upstream.websocket("/_stcore/stream", on_open=announce)
    tab = open_tab(house.sign_in(), house.url)
    assert tab.close_code() == 4403
    assert tab.heard == [new_session("one-session")] * 2
    assert reasons(house) == ["streamlit_session_changed"]


def hear(house: House, browser: CookieClient, session_id: str) -> socket.socket:
    """A socket of this browser on which the app has announced `session_id`."""
    request = handshake("/_stcore/stream", house.host, cookie=house.session_cookie(browser))
    answer, client = open_websocket(house.door.port, request)
    received = answer.received
    while session_id.encode() not in received:
        received += client.recv(256)
    return client


def test_ws_4_an_app_in_this_process_gets_no_session_id_of_another_person(
    build_house: Callable[..., House], open_tab: OpenTab
) -> None:
    house = build_house(routes=[page_route("asgi:tests.security.resuming:app")])
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    hers = open_tab(alice, house.url).receive().new_session.initialize.session_id
    his = open_tab(bob, house.url, resume=hers).receive().new_session.initialize.session_id
    assert his != hers
    again = open_tab(alice, house.url, resume=hers)
    assert again.receive().new_session.initialize.session_id == hers, "her own claim goes through"
    assert upload(alice, house.url, f"/_stcore/upload_file/{hers}/f").status_code == 204
    assert upload(bob, house.url, f"/_stcore/upload_file/{hers}/f").status_code == 403


def test_ws_4_the_stream_of_an_older_streamlit_has_a_slash_at_its_end_too(
    build_house: Callable[..., House], open_tab: OpenTab
) -> None:
    """Streamlit before 1.59 opens its stream at both addresses."""
    house = build_house(routes=[page_route("asgi:tests.security.resuming:app")])
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    hers = open_tab(alice, house.url).receive().new_session.initialize.session_id
    protocols = f"Sec-WebSocket-Protocol: streamlit, x, {hers}"
    request = handshake("/_stcore/stream/", house.host, protocols, cookie=house.session_cookie(bob))
    answer, client = open_websocket(house.door.port, request)
    received = answer.received
    while received.endswith(b"\r\n\r\n"):
        received += client.recv(256)
    client.close()
    assert answer.status == 101
    assert hers.encode() not in received


def test_ws_4_an_app_in_this_process_reads_one_handshake_header(
    build_house: Callable[..., House], open_tab: OpenTab
) -> None:
    """Two header lines are one list, for the front door and for the app."""
    house = build_house(routes=[page_route("asgi:tests.security.resuming:app")])
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    hers = open_tab(alice, house.url).receive().new_session.initialize.session_id
    lines = [f"Sec-WebSocket-Protocol: {entries}" for entries in ("streamlit, x", f"session-y, {hers}")]
    for order in (lines, lines[::-1], [f"Sec-WebSocket-Protocol: streamlit, x, {hers}", *lines]):
        request = handshake("/_stcore/stream", house.host, *order, cookie=house.session_cookie(bob))
        answer, client = open_websocket(house.door.port, request)
        received = answer.received
        assert answer.status == 101
        while received.endswith(b"\r\n\r\n"):
            received += client.recv(256)
        assert hers.encode() not in received
        client.close()


@pytest.mark.parametrize("auth", ["optional", "public"])
def test_ws_6_the_owner_of_an_upload_without_a_sign_in_is_the_browser(
    build_house: Callable[..., House], streamlit: str, open_tab: OpenTab, auth: str
) -> None:
    house = build_house(routes=[page_route(streamlit, auth=auth)])
    visitor, stranger, alice = house.browser(), house.browser(), house.sign_in("alice")
    tab = open_tab(visitor, house.url)
    session_id, address = tab.run(), tab.ask_for_address()
    assert upload(visitor, house.url, address).status_code == 204
    for other in (stranger, alice):
        assert upload(other, house.url, address).status_code == 403
        assert open_tab(other, house.url, resume=session_id).run() != session_id
    house.sign_in("bob", browser=visitor)
    assert upload(visitor, house.url, address).status_code == 204, "the same browser, signed in since"


def test_ws_6_visitors_cannot_use_the_session_of_a_signed_in_person(
    build_house: Callable[..., House], streamlit: str, open_tab: OpenTab
) -> None:
    house = build_house(routes=[page_route(streamlit, auth="optional")])
    tab = open_tab(house.sign_in("alice"), house.url)
    session_id, address = tab.run(), tab.ask_for_address()
    visitor = house.browser()
    assert upload(visitor, house.url, address).status_code == 403
    assert open_tab(visitor, house.url, resume=session_id).run() != session_id


def test_ws_6_the_browser_gets_a_session_id_only_after_its_owner_is_recorded(
    pages: House, open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = pages.store.lock

    async def slow(*given: Any, **how: Any) -> bool:
        await asyncio.sleep(0.5)
        return await lock(*given, **how)

    alice = pages.sign_in("alice")
    monkeypatch.setattr(pages.store, "lock", slow)
    tab = open_tab(alice, pages.url)
    tab.run()
    started = time.monotonic()
    address = tab.ask_for_address()
    assert time.monotonic() - started >= 0.5
    assert upload(alice, pages.url, address).status_code == 204


def test_ws_6_uploads_work_again_after_a_store_outage(
    pages: House, open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable

    alice = pages.sign_in("alice")
    tab = open_tab(alice, pages.url)
    tab.run()
    address = tab.ask_for_address()
    with monkeypatch.context() as outage:
        outage.setattr(pages.store, "holder_of", out)
        refused = upload(alice, pages.url, address)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    assert upload(alice, pages.url, address).status_code == 204


def test_ws_6_a_long_store_outage_closes_the_socket_before_the_browser_gets_the_session_id(
    build_house: Callable[..., House], streamlit: str, open_tab: OpenTab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable

    house = build_house(routes=[page_route(streamlit)])
    bff = house.door.app.bff
    store = bff.settings.store.model_copy(update={"outage_seconds": 1})
    object.__setattr__(bff, "settings", bff.settings.model_copy(update={"store": store}))
    alice = house.sign_in("alice")
    tab = open_tab(alice, house.url)
    monkeypatch.setattr(house.store, "lock", out)
    with pytest.raises(Exception, match="1013"):
        tab.run()
    assert tab.session_id == ""


def test_ws_6_a_page_that_stays_open_keeps_its_owner(
    build_house: Callable[..., House], streamlit: str, open_tab: OpenTab
) -> None:
    house = build_house(routes=[page_route(streamlit)])
    alice, bob = house.sign_in("alice"), house.sign_in("bob")
    sessions_of(house).seconds = 1.2
    tab = open_tab(alice, house.url)
    tab.run()
    address = tab.ask_for_address()
    time.sleep(2.5)
    assert upload(alice, house.url, address).status_code == 204
    assert upload(bob, house.url, address).status_code == 403
    tab.socket.close()
    time.sleep(1.5)
    assert upload(alice, house.url, address).status_code == 403, "nobody is there any more"


def test_ws_6_a_page_that_was_resumed_without_an_announcement_keeps_its_owner(
    build_house: Callable[..., House], streamlit: str, open_tab: OpenTab
) -> None:
    house = build_house(routes=[page_route(streamlit)])
    alice = house.sign_in("alice")
    sessions_of(house).seconds = 1.2
    tab = open_tab(alice, house.url)
    session_id, address = tab.run(), tab.ask_for_address()
    tab.socket.close()
    again = open_tab(alice, house.url, resume=session_id)
    time.sleep(2.5)
    assert upload(alice, house.url, address, method="DELETE").status_code == 204
    again.socket.close()


def test_ws_6_uploads_work_after_a_key_rotation(pages: House, open_tab: OpenTab) -> None:
    """An old key still works: what was recorded with it counts, and continues with it and with the new key."""
    bff = pages.door.app.bff
    alice, bob = pages.sign_in("alice"), pages.sign_in("bob")
    tab = open_tab(alice, pages.url)
    session_id, address = tab.run(), tab.ask_for_address()
    rotated = Keyring([b"unit-test-key-of-tomorrow-0123456789-abcdefgh", KEY.encode()])
    object.__setattr__(bff, "keyring", rotated)
    assert upload(alice, pages.url, address).status_code == 204
    assert upload(bob, pages.url, address).status_code == 403
    tab.socket.close()
    assert open_tab(bob, pages.url, resume=session_id).run() != session_id
    again = open_tab(alice, pages.url, resume=session_id)
    assert again.run() == session_id
    assert upload(alice, pages.url, again.ask_for_address()).status_code == 204


def test_ws_6_names_in_the_store_give_no_access(pages: House, open_tab: OpenTab) -> None:
    tab = open_tab(pages.sign_in("alice"), pages.url)
    session_id = tab.run()
    kept = json.dumps(pages.store._locks)
    assert "streamlit:" in kept
    assert session_id not in kept
    assert "alice" not in kept


def test_ws_6_other_addresses_of_a_page_are_not_restricted(pages: House, open_tab: OpenTab) -> None:
    alice: CookieClient = pages.sign_in("alice")
    tab = open_tab(alice, pages.url)
    tab.run()
    assert alice.fetch(pages.url + tab.media).content == b"bytes of a report"
    assert alice.fetch(f"{pages.url}/_stcore/health").status_code == 200
