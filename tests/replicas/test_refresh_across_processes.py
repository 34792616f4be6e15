"""SL-4, SL-5: one grant per expiry, whichever process asks, and none that a dying or sleeping process can spoil."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bff.refresh import LOCK_SECONDS
from tests.fakes import is_grant
from tests.replicas.replica_set import SAME_ORIGIN, Replica, ReplicaSet, storm, until

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
    events = [event for replica in doors for event in replica.events("refresh_ok")]
    assert len(events) == 1
