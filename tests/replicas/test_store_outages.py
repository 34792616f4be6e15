"""FM-1, FM-2: during a store outage nobody is let in or signed out, and no change is reported as done."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.sessions.refresh import LOCK_SECONDS
from tests.replicas.replica_set import OUTAGE_SECONDS, SAME_ORIGIN, Replica, ReplicaSet, until
from tests.replicas.store_wire import StoreWire
from tests.replicas.traffic import Watch
from tests.replicas.visits import (
    REFRESH,
    by_back_channel,
    code_for,
    expired,
    open_connections,
    redeem,
    tokens_at_upstream,
    what_needs_the_store,
)
from tests.security.raw import read_close

TRUSTED_SECONDS = 1.0
"""How long remembered sessions may count after the cut."""
BACK_SECONDS = 5.0
"""After this time everything must work again when the store is back."""


def all_signed_in(doors: ReplicaSet, cookie: str) -> bool:
    return [replica.call_api(cookie).status for replica in doors] == [200] * 3


def health(replica: Replica) -> tuple[int, int]:
    return replica.manage("/healthz").status_code, replica.manage("/readyz").status_code


def test_fm_1_all_requests_get_503_during_a_store_outage_and_work_again_after_it(
    doors: ReplicaSet, wire: StoreWire
) -> None:
    code, cookie = code_for(doors)
    handle = json.loads(redeem(doors[0], code).body)["session_handle"]
    watch = Watch(doors, cookie)
    with open_connections(doors, doors[0], cookie) as there, watch.running():
        with wire.cut():
            cut_at = time.monotonic()
            time.sleep(TRUSTED_SECONDS)
            assert [health(replica) for replica in doors] == [(200, 503)] * 3
            assert there.is_echoed(b"still here"), "open sockets outlast an outage for a while"
            doors.upstream.clear()
            with ThreadPoolExecutor(3) as pool:
                for answers in pool.map(lambda replica: what_needs_the_store(replica, cookie, handle), doors):
                    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 503)
                    assert not [name for name, answer in answers.items() if answer.all("set-cookie")]
                    assert answers["api"].header("retry-after")
            assert doors[0].manage("/admin/revoke", {"sub": "alice"}).status_code == 503
            assert read_close(there.websocket) == (1013, "unavailable")
            there.read_stream_to_its_end()
            assert OUTAGE_SECONDS - 1 < time.monotonic() - cut_at < OUTAGE_SECONDS + 20
            assert doors.upstream.requests == []
        fixed_at = time.monotonic()
        until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)
        until(lambda: [health(replica) for replica in doors] == [(200, 200)] * 3, seconds=BACK_SECONDS)
        back_at = time.monotonic()
        time.sleep(0.3)
    assert watch.statuses() == {200, 503}
    assert watch.statuses(since=cut_at + TRUSTED_SECONDS, until=fixed_at) == {503}
    assert watch.statuses(since=back_at) == {200}
    watch.check_that_no_cookie_was_touched()


def test_fm_1_a_store_that_never_answers_is_treated_as_an_outage(doors: ReplicaSet, wire: StoreWire) -> None:
    """The store refuses nothing and answers nothing. Each request ends with the store's time-out."""
    cookie = doors.sign_in()
    assert all_signed_in(doors, cookie)
    with wire.held():
        time.sleep(TRUSTED_SECONDS)
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            statuses = list(pool.map(lambda replica: replica.call_api(cookie).status, doors))
        assert statuses == [503] * 3
        assert time.monotonic() - began < 10
    until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)


def test_fm_2_a_sign_out_that_cannot_be_stored_fails_and_can_be_repeated(doors: ReplicaSet, wire: StoreWire) -> None:
    kept, cookie = doors.sign_in("bob"), doors.sign_in("alice")
    assert all_signed_in(doors, cookie)
    token = doors.provider.logout_token(sub="alice", sid=doors.sid_of_last_login())
    with wire.cut():
        assert doors[0].post_form("/auth/logout", "", *SAME_ORIGIN, cookie=cookie).status == 503
        assert [by_back_channel(replica, token) for replica in doors] == [400] * 3
    until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)
    assert doors.events("logout") == []
    assert by_back_channel(doors[1], token) == 200, "its jti was not burned"
    ended = time.monotonic()
    assert [replica.call_api(cookie).status for replica in doors] == [401] * 3
    assert time.monotonic() - ended < 10
    assert by_back_channel(doors[2], token) == 200, "a replay has no effect"
    assert all_signed_in(doors, kept)


@pytest.mark.parametrize("seconds", [0, LOCK_SECONDS + 1], ids=["short", "longer than the lock"])
def test_sl_5_a_store_outage_during_a_refresh_does_not_end_the_session(
    doors: ReplicaSet, wire: StoreWire, seconds: float
) -> None:
    """The provider has rotated the refresh token, and the new one cannot be stored until the store is back.

    Other processes may take the lock by then. The process with the new tokens stores them before the others begin.
    """
    (cookie,) = expired(doors, "alice")
    with ThreadPoolExecutor(1) as pool, doors.provider.bend.token.hold(times=1, when=REFRESH) as gate:
        waiting = pool.submit(doors[0].call_api, cookie)
        gate.wait_arrived()
        with wire.cut():
            gate.release()
            assert waiting.result().status == 503
            assert len(doors.provider.grants("refresh_token")) == 1
            time.sleep(seconds)
    until(lambda: all_signed_in(doors, cookie), seconds=BACK_SECONDS)
    (grant,) = doors.provider.grants("refresh_token")
    assert set(tokens_at_upstream(doors)) == {grant.access_token}
    assert doors.provider.reuse_detected == []
