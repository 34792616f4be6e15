"""SL-10, LO-13: what ends a session at one process ends it at the others within a second, open connections included."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.replicas.replica_set import SAME_ORIGIN, ReplicaSet
from tests.replicas.visits import NAVIGATION, by_back_channel, open_connections
from tests.security.raw import handshake, open_websocket, read_close

Ending = Callable[[ReplicaSet, str], int]
SOON_SECONDS = 10
"""The promise is one second. A busy machine gets ten, and thirty if a cache must expire first."""


def sign_out(doors: ReplicaSet, cookie: str) -> int:
    return doors[0].post_form("/auth/logout", "", *SAME_ORIGIN, cookie=cookie).status


def sign_out_everywhere(doors: ReplicaSet, cookie: str) -> int:
    return doors[0].post_form("/auth/logout", "everywhere=1", *SAME_ORIGIN, cookie=cookie).status


def log_out_at_provider(doors: ReplicaSet, *claims: str) -> int:
    sub, sid = "alice" if "sub" in claims else None, doors.sid_of_last_login() if "sid" in claims else None
    return by_back_channel(doors[0], doors.provider.logout_token(sub=sub, sid=sid))


def revoke(doors: ReplicaSet, **named: str) -> int:
    return doors[0].manage("/admin/revoke", named).status_code


def revoke_one(doors: ReplicaSet) -> int:
    (session,) = doors[0].manage(f"/admin/sessions?sub=alice&sid={doors.sid_of_last_login()}").json()["sessions"]
    return revoke(doors, sub="alice", session=session["session"])


ENDINGS: dict[str, tuple[Ending, int, str]] = {
    "signing out": (sign_out, 303, "logout"),
    "signing out everywhere": (sign_out_everywhere, 303, "logout"),
    "the provider, by sid": (lambda doors, _: log_out_at_provider(doors, "sid"), 200, "logout"),
    "the provider, by sub": (lambda doors, _: log_out_at_provider(doors, "sub"), 200, "logout"),
    "the provider, by both": (lambda doors, _: log_out_at_provider(doors, "sub", "sid"), 200, "logout"),
    "an administrator, by sub": (lambda doors, _: revoke(doors, sub="alice"), 200, "revoked"),
    "an administrator, by sid": (lambda doors, _: revoke(doors, sid=doors.sid_of_last_login()), 200, "revoked"),
    "an administrator, this one": (lambda doors, _: revoke_one(doors), 200, "revoked"),
    "an administrator, everybody": (lambda doors, _: revoke(doors, all="yes"), 200, "revoked"),
}


@pytest.mark.parametrize("by", ENDINGS)
def test_a_session_ended_at_one_process_ends_at_the_others_soon(doors: ReplicaSet, by: str) -> None:
    end, status, reason = ENDINGS[by]
    bystander = doors.sign_in("bob")
    cookie = doors.sign_in("alice")
    with open_connections(doors, doors[1], cookie) as there, open_connections(doors, doors[2], cookie) as elsewhere:
        for replica in doors:  # in each cache by now
            assert replica.call_api(cookie).status == 200
        assert end(doors, cookie) == status
        ended = time.monotonic()
        for connections in (there, elsewhere):
            assert read_close(connections.websocket) == (4401, reason)
            connections.read_stream_to_its_end()
        assert [replica.call_api(cookie).status for replica in doors] == [401] * 3
        assert [replica.send("/auth/session", *SAME_ORIGIN, cookie=cookie).status for replica in doors] == [401] * 3
        assert time.monotonic() - ended < SOON_SECONDS
    answer, refused = open_websocket(doors[2].port, handshake("/ws", doors.host, f"Cookie: {cookie}"))
    refused.close()
    assert answer.status == 401
    expected = 401 if by == "an administrator, everybody" else 200
    assert [replica.call_api(bystander).status for replica in doors] == [expected] * 3


def test_a_sign_in_opens_no_session_when_a_logout_arrives_at_another_process_during_it(doors: ReplicaSet) -> None:
    """LO-12, and the next one works."""
    doors.provider.options.auto_login = "alice"
    path, transaction = doors.start_login(doors[0])
    assert by_back_channel(doors[1], doors.provider.logout_token(sub="alice")) == 200
    assert doors[2].send(path, cookie=transaction).status == 400
    assert doors[1].call_api(doors.sign_in("alice")).status == 200


def test_a_new_sign_in_closes_the_old_sockets_at_other_processes_so_that_they_reconnect(doors: ReplicaSet) -> None:
    """SL-1: the same person signs in again in the same browser; the page keeps its state and comes back."""
    cookie = doors.sign_in("alice")
    answer, websocket = open_websocket(doors[1].port, handshake("/ws", doors.host, f"Cookie: {cookie}"))
    assert answer.status == 101
    started = doors[0].send("/auth/login", *NAVIGATION, cookie=cookie)
    path, transaction = doors.at_provider(started)
    assert doors[2].send(path, cookie=f"{transaction}; {cookie}").status == 303
    assert read_close(websocket) == (1012, "superseded")
    websocket.close()
    assert [replica.call_api(cookie).status for replica in doors] == [401] * 3
