"""FM-8: processes restart and keys change, but nobody is signed out and no request fails that cannot be repeated."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.bff.stores.store_contract import fresh
from tests.replicas.replica_set import KEYS, SAME_ORIGIN, ReplicaSet, session_cookie, until
from tests.replicas.traffic import Browsers
from tests.replicas.visits import (
    REFRESH,
    by_back_channel,
    code_for,
    expired,
    is_refreshing,
    redeem,
    tokens_at_upstream,
)
from tests.security.raw import handshake, open_websocket, read_close


def test_fm_8_a_stopping_process_finishes_its_requests_and_the_others_take_new_ones(
    doors: ReplicaSet,
) -> None:
    (cookie,) = expired(doors, "alice")
    doors.upstream.respond("/slow", delay=1.0, body=b"slow, but whole")
    to_socket = handshake("/ws", doors.host, f"Cookie: {cookie}")
    _, websocket = open_websocket(doors[0].port, to_socket)
    browsers = Browsers(doors, cookie)
    with browsers.running(), ThreadPoolExecutor(2) as pool:
        doors.provider.bend.token.delay(1.0, times=1, when=REFRESH)
        refreshing = pool.submit(doors[0].call_api, cookie)
        slow = pool.submit(doors[0].send, "/slow", *SAME_ORIGIN, cookie=cookie)
        until(lambda: is_refreshing(doors.provider) and doors.upstream.requests_to("/slow"), seconds=5)
        doors[0].ask_to_end()
        assert read_close(websocket)[0] == 1012
        websocket.close()
        answer, websocket = open_websocket(doors[1].port, to_socket)
        websocket.close()
        assert answer.status == 101
        assert slow.result().body == b"slow, but whole"
        assert refreshing.result().status == 200
        assert doors[0].end() == 0
        browsers.wait_for_more()
        doors[0].start()
        doors[0].wait()
    assert set(browsers.statuses) == {200}
    assert browsers.broken == []
    assert browsers.repeated > 0, "nothing was stopped, so nothing was tested"
    (grant,) = doors.provider.grants("refresh_token")
    assert [replica.call_api(cookie).status for replica in doors] == [200] * 3
    assert tokens_at_upstream(doors)[-3:] == [grant.access_token] * 3


def test_fm_8_a_new_first_key_signs_nobody_out(doors: ReplicaSet) -> None:
    """Cookies, records, handles, codes and unfinished sign-ins were all written with the old key."""
    cookie, bob = *expired(doors, "alice"), doors.sign_in("bob")
    doors.provider.options.auto_login = "alice"
    handle = f"X-Vestibule-Session: {json.loads(redeem(doors[0], code_for(doors)[0]).body)['session_handle']}"
    code, _ = code_for(doors)
    path, transaction = doors.start_login(doors[0])
    doors[0].send("/page", *SAME_ORIGIN, cookie=cookie)
    stable_id = doors.upstream.last.header("x-auth-request-id")
    keys = (fresh("unit-test-key-"), *KEYS)
    assert [replica.end() for replica in doors] == [0] * 3
    for replica in doors:
        replica.start(keys=keys)
    for replica in doors:
        replica.wait()
    assert [replica.call_api(cookie).status for replica in doors] == [200] * 3, "refreshed: written under the new key"
    assert len(doors.provider.grants("refresh_token")) == 1
    assert doors.upstream.last.header("x-auth-request-id") == stable_id
    assert [replica.call_kit("/api/x", handle, method="GET").status for replica in doors] == [200] * 3
    assert redeem(doors[1], code).status == 200
    later = session_cookie(doors[2].send(path, cookie=transaction))
    assert [replica.call_api(later).status for replica in doors] == [200] * 3
    assert by_back_channel(doors[0], doors.provider.logout_token(sub="alice")) == 200
    for ended in (cookie, later):  # opened under one key and under the other
        assert [replica.call_api(ended).status for replica in doors] == [401] * 3
    assert [replica.call_api(bob).status for replica in doors] == [200] * 3


@pytest.mark.long
def test_fm_8_keys_can_be_rotated_in_two_rounds_without_a_stop(doors: ReplicaSet) -> None:
    """As docs/key-rotation.md says: on the second line first, on the first line when every process has it."""
    cookie, key = doors.sign_in("alice"), fresh("unit-test-key-")
    sessions = [cookie]
    browsers = Browsers(doors, cookie)
    with browsers.running():
        for keys in ((KEYS[0], key, KEYS[1]), (key, *KEYS)):
            for replica in doors:
                assert replica.end() == 0
                replica.start(keys=keys)
                replica.wait()
                for each in doors:
                    path, transaction = doors.start_login(each)
                    sessions.append(session_cookie(replica.send(path, cookie=transaction)))
                for session in sessions:
                    assert [each.call_api(session).status for each in doors] == [200] * 3
    assert set(browsers.statuses) == {200}
    assert browsers.broken == []
