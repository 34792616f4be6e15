"""Engine.IO's own traffic is told from messages, in both versions of its polling."""

from __future__ import annotations

import pytest

from gateway.relay.engine_io import is_own_packet, is_own_request

V4, V3 = b"EIO=4&transport=polling&sid=a", b"t=x&transport=polling&EIO=3"


@pytest.mark.parametrize("packet", ["1", "2", "3", "5", "6", "2probe", "3probe"])
def test_packets_without_a_message_are_the_librarys_own(packet: str) -> None:
    assert is_own_packet(packet)


@pytest.mark.parametrize("packet", ["", "4", "42", '42["click"]', "2probes", "22", "3\n", "2" * 9_000_000])
def test_every_other_text_can_be_a_persons_act(packet: str) -> None:
    assert not is_own_packet(packet)


@pytest.mark.parametrize(
    ("method", "query", "length", "is_own"),
    [
        pytest.param("GET", V4, None, True, id="poll"),
        pytest.param("GET", V3, None, True, id="poll of version 3"),
        pytest.param("GET", b"EIO=4&transport=polling", None, True, id="first poll"),
        pytest.param("POST", V4, 1, True, id="pong"),
        pytest.param("POST", V3, 3, True, id="ping of version 3"),
        pytest.param("POST", V4, 2, False, id="shortest message"),
        pytest.param("POST", V3, 4, False, id="shortest message of version 3"),
        pytest.param("POST", V4, None, False, id="POST of unknown length"),
        pytest.param("POST", b"EIO=9&transport=polling", 1, False, id="unknown version"),
        pytest.param("PUT", V4, 1, False, id="another method"),
        pytest.param("GET", b"transport=polling", None, False, id="another application that polls"),
        pytest.param("GET", b"EIO=4", None, False, id="page whose query has EIO"),
        pytest.param("GET", b"xEIO=4&transport=polling", None, False, id="another parameter"),
        pytest.param("GET", b"EIO=4&transport=pollings", None, False, id="another transport"),
    ],
)
def test_requests_that_the_library_makes_by_itself(
    method: str, query: bytes, length: int | None, *, is_own: bool
) -> None:
    assert is_own_request(method, query, length=length) is is_own


def test_a_handshake_is_the_librarys_own() -> None:
    assert is_own_request("GET", b"EIO=4&transport=websocket", length=None, is_socket=True)
    assert not is_own_request("GET", b"transport=websocket", length=None, is_socket=True)
