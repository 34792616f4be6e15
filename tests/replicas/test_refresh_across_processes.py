"""SL-4, SL-5: one grant per expiry, whichever process asks, and none that a dying or sleeping process can spoil."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from bff.refresh import LOCK_SECONDS
from tests.fakes import is_grant
from tests.replicas.replica_set import SAME_ORIGIN, ReplicaSet, storm, until

LIFETIME = 2
REFRESH = is_grant("refresh_token")


def sign_in_and_expire(doors: ReplicaSet, person: str = "alice") -> str:
    """A session whose access token is dead; the next one lives long."""
    doors.provider.options.access_token_lifetime = LIFETIME
    cookie = doors.sign_in(person)
    doors.provider.options.access_token_lifetime = 300
    time.sleep(LIFETIME + 0.1)
    return cookie


def tokens_at_upstream(doors: ReplicaSet) -> list[str]:
    return [(request.header("authorization") or "").removeprefix("Bearer ") for request in doors.upstream.requests]


def test_sl_4_two_hundred_requests_at_expiry_over_three_processes_make_one_grant(doors: ReplicaSet) -> None:
    cookie = sign_in_and_expire(doors)
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


def test_sl_5_a_holder_killed_in_the_middle_leaves_a_new_token_to_the_others(doors: ReplicaSet) -> None:
    """The provider had not begun with the first grant, and begins with it when the second one is long stored."""
    cookie = sign_in_and_expire(doors)
    bystander = doors.sign_in("bob")
    with doors.provider.bend.token.hold(times=1, when=REFRESH) as gate, ThreadPoolExecutor(3) as pool:
        lost = pool.submit(doors[0].call_api, cookie)
        gate.wait_arrived()
        waiting = pool.submit(doors[1].call_api, cookie)
        doors[0].kill_worker()
        killed = time.monotonic()
        assert lost.result().status == 0
        assert waiting.result().status == 200
        assert time.monotonic() - killed < LOCK_SECONDS + 2
        assert doors[2].call_api(cookie).status == 200
        (grant,) = doors.provider.grants("refresh_token")
        assert tokens_at_upstream(doors) == [grant.access_token] * 2
        gate.release()
    until(lambda: doors[0].call_api_or_none(cookie) == 200, seconds=10)  # its supervisor has started another
    assert set(tokens_at_upstream(doors)) == {grant.access_token}
    assert {request.header("x-auth-request-user") for request in doors.upstream.requests} == {"alice"}
    assert [replica.call_api(bystander).status for replica in doors] == [200] * 3


def test_sl_5_a_holder_killed_after_the_grant_leaves_a_clean_sign_out(doors: ReplicaSet) -> None:
    """The provider has rotated the token, its answer never came: the next use is reuse, and ends the session."""
    cookie = sign_in_and_expire(doors)
    bystander = doors.sign_in("bob")
    doors.provider.bend.token.delay(60, times=1, when=REFRESH)
    family = doors.provider.memory.families
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(doors[0].call_api, cookie)
        until(lambda: doors.provider.hits_of("token") and REFRESH(doors.provider.hits_of("token")[-1]), seconds=5)
        spent = doors.provider.hits_of("token")[-1].form["refresh_token"]
        family[spent].tokens.append("rotated and never delivered")
        doors[0].kill_worker()
        assert lost.result().status == 0
    assert doors[1].call_api(cookie).status == 401
    assert [replica.call_api(cookie).status for replica in (doors[1], doors[2])] == [401] * 2
    assert doors[2].send("/auth/session", *SAME_ORIGIN, cookie=cookie).status == 401
    assert doors.upstream.requests == []
    assert [doors[1].call_api(bystander).status, doors[2].call_api(bystander).status] == [200] * 2
    until(lambda: doors[0].call_api_or_none(cookie) == 401, seconds=10)


def test_sl_5_a_holder_that_slept_past_its_lock_overwrites_nothing_and_ends_nothing(doors: ReplicaSet) -> None:
    cookie = sign_in_and_expire(doors)
    with doors.provider.bend.token.hold(times=1, when=REFRESH) as gate, ThreadPoolExecutor(1) as pool:
        with doors[0].frozen_after(gate.wait_arrived, pool, cookie) as late:
            assert doors[1].call_api(cookie).status == 200
            (grant,) = doors.provider.grants("refresh_token")
            gate.release()  # reuse, says the provider to the first
            until(lambda: len(doors.provider.reuse_detected) == 1, seconds=5)
        assert late.result().status == 200
    assert [replica.call_api(cookie).status for replica in doors] == [200] * 3
    assert set(tokens_at_upstream(doors)) == {grant.access_token}
    assert doors.events("refresh_failed") == []
