"""WS-5 for machines: a socket opened with a bearer token closes when the token expires or its person is ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bff.contract import EndReason
from bff.stores.events import EverythingUnknown
from tests.fakes import FakeClock, RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.raw import RawAnswer, connect, handshake, open_websocket, read_all, read_close, websocket_status

AUDIENCE = "models-api"
SID = "session-at-the-provider"
TOKEN_SECONDS = 120
PING, PONG = b"\x89\x80\x00\x00\x00\x00", b"\x8a"


@pytest.fixture
def machine_house(timed_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    accepting = {"accept_bearer": {"providers": ["corp"], "audience": AUDIENCE}}
    return timed_house(
        routes=[api_route(upstream, **accepting), page_route(upstream)], limits={"websockets_per_session": 3}
    )


def mint(house: House, clock: FakeClock, **over: Any) -> str:
    now = int(clock())
    claims = {"iss": house.provider.issuer, "aud": AUDIENCE, "sub": "robot", "sid": SID, "client_id": "robot"}
    return house.provider.mint(
        {**claims, "iat": now, "exp": now + TOKEN_SECONDS, **over},
        header={"typ": "at+jwt", "kid": house.provider.signing_key.kid},
    )


def with_bearer(request: bytes, token: str) -> bytes:
    return request.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {token}\r\n\r\n".encode(), 1)


def ask(house: House, token: str) -> bytes:
    return with_bearer(handshake("/api/ws", house.host), token)


def open_socket(house: House, token: str) -> tuple[RawAnswer, socket.socket]:
    return open_websocket(house.door.port, ask(house, token))


def assert_open(client: socket.socket) -> None:
    client.sendall(PING)
    assert client.recv(2)[:1] == PONG


Revoke = Callable[[House], Coroutine[Any, Any, Any]]


def revoke_person(house: House) -> Coroutine[Any, Any, Any]:
    return house.door.app.bff.sessions.end_person(house.provider.issuer, "robot", EndReason.REVOKED)


def revoke_provider_session(house: House) -> Coroutine[Any, Any, Any]:
    return house.door.app.bff.sessions.end_provider_session(house.provider.issuer, SID, EndReason.REVOKED)


def revoke_persons_provider_session(house: House) -> Coroutine[Any, Any, Any]:
    sessions = house.door.app.bff.sessions
    return sessions.end_provider_session(house.provider.issuer, SID, EndReason.REVOKED, sub="robot")


def revoke_everybody(house: House) -> Coroutine[Any, Any, Any]:
    return house.door.app.bff.sessions.end_everybody(EndReason.REVOKED)


REVOKES: list[Revoke] = [revoke_person, revoke_provider_session, revoke_persons_provider_session, revoke_everybody]


@pytest.mark.parametrize("revoke", REVOKES)
def test_ws_5_a_revoke_closes_the_socket_of_a_machine_and_refuses_new_ones(
    machine_house: House, clock: FakeClock, revoke: Revoke
) -> None:
    house = machine_house
    token = mint(house, clock)
    answer, client = open_socket(house, token)
    assert answer.status == 101
    assert_open(client)
    house.door.do(revoke(house))
    assert read_close(client) == (4401, "revoked")
    assert websocket_status(house.door.port, ask(house, token)) == 401
    client.close()


def test_ws_5_a_revoke_does_not_affect_later_tokens_and_other_machines(machine_house: House, clock: FakeClock) -> None:
    house = machine_house
    other, client = open_socket(house, mint(house, clock, sub="other", sid="another"))
    house.door.do(revoke_person(house))
    clock.advance(2)
    later, fresh = open_socket(house, mint(house, clock))
    assert (other.status, later.status) == (101, 101)
    time.sleep(1.2)  # a sweep has passed
    for each in (client, fresh):
        assert_open(each)
        each.close()


def test_ws_5_the_socket_of_a_machine_closes_when_its_token_expires(machine_house: House, clock: FakeClock) -> None:
    house = machine_house
    answer, client = open_socket(house, mint(house, clock))
    assert answer.status == 101
    clock.advance(TOKEN_SECONDS - 1)
    time.sleep(1.2)
    assert_open(client)
    clock.advance(1)
    assert read_close(client) == (4401, "expired")
    client.close()


def test_ws_5_a_token_accepted_within_the_clock_skew_keeps_a_socket_open_until_the_skew_ends(
    machine_house: House, clock: FakeClock
) -> None:
    house = machine_house
    token = mint(house, clock)
    skew = house.door.app.bff.sign_in.providers["corp"].settings.clock_skew_seconds
    clock.advance(TOKEN_SECONDS + 1)
    answer, client = open_socket(house, token)
    assert answer.status == 101
    time.sleep(1.2)
    assert_open(client)
    clock.advance(skew)
    assert read_close(client) == (4401, "expired")
    client.close()


def test_ws_5_a_revoke_whose_event_was_lost_is_found(machine_house: House, clock: FakeClock) -> None:
    """Between the check of a token and its entry in the registry, or while no events arrive."""
    house = machine_house
    answer, client = open_socket(house, mint(house, clock))
    assert answer.status == 101
    name = house.door.app.bff.keyring.owner_names("sub", house.provider.issuer, "robot")[0]
    house.door.do(house.store.set_barrier(name, seconds=60))
    assert read_close(client)[0] == 4401
    client.close()


def test_ws_5_lost_events_do_not_close_the_socket_of_a_machine(machine_house: House, clock: FakeClock) -> None:
    """A machine has no session record. A search for one would end its socket."""
    house = machine_house
    answer, client = open_socket(house, mint(house, clock))
    assert answer.status == 101
    house.door.do(house.store.publish(EverythingUnknown()))
    time.sleep(1.2)
    assert_open(client)
    client.close()


@pytest.mark.parametrize("how", ["revoke", "expiry"])
def test_ws_5_a_revoke_cuts_the_stream_of_a_machine(machine_house: House, clock: FakeClock, how: str) -> None:
    house = machine_house
    house.upstream.respond("/events", stream=[b"one", 4.0, b"two"], chunked=True)
    with connect(house.door.port) as client:
        client.sendall(with_bearer(house.request("/api/events"), mint(house, clock)))
        assert b"one" in receive_until(client, b"one")
        if how == "revoke":
            house.door.do(revoke_person(house))
        else:
            clock.advance(TOKEN_SECONDS)
        rest = read_all(client)
    assert b"two" not in rest
    assert not rest.endswith(b"0\r\n\r\n"), "a stream that was cut must not look whole"


def test_ds_3_the_number_of_sockets_of_a_machine_is_limited(machine_house: House, clock: FakeClock) -> None:
    house = machine_house
    token = mint(house, clock)
    opened = [open_socket(house, token) for _ in range(5)]
    assert [answer.status for answer, _ in opened] == [101, 101, 101, 503, 503]
    for _, client in opened:
        client.close()


def receive_until(client: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received and (chunk := client.recv(4096)):
        received += chunk
    return received
