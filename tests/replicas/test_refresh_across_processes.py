"""SL-4, SL-5: one refresh per expiry for all processes, and a process that dies or sleeps does no harm."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bff.sessions.refresh import LOCK_SECONDS
from tests.replicas.replica_set import SAME_ORIGIN, ReplicaSet, storm, until
from tests.replicas.visits import REFRESH, expired, tokens_at_upstream


def test_sl_4_two_hundred_requests_at_the_expiry_in_three_processes_make_one_token_request(doors: ReplicaSet) -> None:
    (cookie,) = expired(doors, "alice")
    for replica in doors:  # each has the old session in its cache
        assert replica.send("/page", *SAME_ORIGIN, cookie=cookie).status == 200
    doors.upstream.clear()
    doors.provider.bend.token.delay(0.3, when=REFRESH)
    requests = [(doors[number % 3], f"/api/{number}") for number in range(200)]
    answers = storm([(replica, replica.request(path, *SAME_ORIGIN, cookie=cookie)) for replica, path in requests])
    assert [answer.status for answer in answers] == [200] * 200
    (grant,) = doors.provider.grants("refresh_token")
    assert tokens_at_upstream(doors) == [grant.access_token] * 200
    assert doors.provider.reuse_detected == []
    until(lambda: len(doors.events("refresh_ok")) == 1, seconds=2)


def test_sl_5_a_process_killed_during_a_refresh_leaves_a_new_token_or_a_clean_sign_out(doors: ReplicaSet) -> None:
    """Alice's grant had not begun, so hers is renewed; Bob's token is spent, and its successor died with the worker."""
    provider, carol = doors.provider, doors.sign_in("carol")
    alice, bob = expired(doors, "alice", "bob")
    with ThreadPoolExecutor(4) as pool:
        provider.bend.token.drip(every=0.2, times=1, when=REFRESH)
        lost = [pool.submit(doors[0].call_api, bob)]
        until(lambda: provider.grants("refresh_token"), seconds=5)
        with provider.bend.token.hold(times=1, when=REFRESH) as gate:
            lost.append(pool.submit(doors[0].call_api, alice))
            gate.wait_arrived()
            doors[0].kill_worker()
            killed = time.monotonic()
            assert [answer.result().status for answer in lost] == [0, 0]
            waiting = [pool.submit(doors[1].call_api, alice), pool.submit(doors[2].call_api, bob)]
            assert [answer.result().status for answer in waiting] == [200, 401]
            assert time.monotonic() - killed < LOCK_SECONDS * 3
            (grant,) = [grant for grant in provider.grants("refresh_token") if grant.sub == "alice"]
    until(lambda: {reuse.sub for reuse in provider.reuse_detected} == {"alice", "bob"}, seconds=5)  # hers: the late one
    for replica in doors:  # the first has another worker by now
        assert replica.call_api(alice).status == 200
        assert replica.call_api(bob).status == 401
        assert replica.send("/auth/session", *SAME_ORIGIN, cookie=bob).status == 401
    assert tokens_at_upstream(doors) == [grant.access_token] * 4
    assert {request.header("x-auth-request-user") for request in doors.upstream.requests} == {"alice"}
    assert [replica.call_api(carol).status for replica in doors] == [200] * 3


def test_sl_5_a_process_that_sleeps_longer_than_its_lock_overwrites_and_ends_no_session(doors: ReplicaSet) -> None:
    (cookie,) = expired(doors, "alice")
    with doors.provider.bend.token.hold(times=1, when=REFRESH) as gate, ThreadPoolExecutor(1) as pool:
        late = pool.submit(doors[0].call_api, cookie)
        gate.wait_arrived()
        with doors[0].frozen():
            assert doors[1].call_api(cookie).status == 200
            (grant,) = doors.provider.grants("refresh_token")
            gate.release()  # for the provider this is the second use of one refresh token
            until(lambda: doors.provider.reuse_detected, seconds=5)
        assert late.result().status == 200
    assert [replica.call_api(cookie).status for replica in doors] == [200] * 3
    assert set(tokens_at_upstream(doors)) == {grant.access_token}
    assert doors.events("refresh_failed") == []
