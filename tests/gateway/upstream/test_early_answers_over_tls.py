"""An https upstream that answers before it has read the request: its answer arrives, however the connection ends."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from gateway.upstream.dial import client_tls
from tests.gateway.upstream.certificate import make_certificate
from tests.gateway.upstream.door import Door, open_door
from tests.gateway.upstream.test_early_answers import ANSWER, MIB, raw_upstream, upload

CLOSE_DELIMITED = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\nthe upstream says no"
RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Tls:
    """One TLS connection whose records are written by hand, so that each end can be played."""

    plain: socket.socket
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    session: ssl.SSLObject

    def pull(self) -> None:
        self.incoming.write(self.plain.recv(16_384))

    def flush(self) -> None:
        self.plain.sendall(self.outgoing.read())

    def shake_hands(self) -> None:
        while True:
            try:
                self.session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.pull()
        self.flush()

    def read(self) -> bytes:
        while True:
            try:
                return self.session.read(16_384)
            except ssl.SSLWantReadError:
                self.pull()

    def write(self, data: bytes) -> None:
        self.session.write(data)
        self.flush()

    def say_goodbye(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.session.unwrap()
        self.flush()


Play = Callable[[Tls], None]


def answer_and_close(tls: Tls) -> None:
    """With unread bytes this is a reset; there is no close_notify."""
    tls.write(ANSWER)


def answer_and_reset(tls: Tls) -> None:
    tls.write(ANSWER)
    tls.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def say_goodbye_and_close(tls: Tls) -> None:
    tls.write(ANSWER)
    tls.say_goodbye()


def say_goodbye_later_and_reset(tls: Tls) -> None:
    tls.write(ANSWER)
    time.sleep(0.02)
    tls.say_goodbye()
    tls.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def read_a_little_and_close(tls: Tls) -> None:
    for _ in range(20):
        tls.read()
    tls.write(ANSWER)


def answer_in_pieces(tls: Tls) -> None:
    for piece in (ANSWER[:7], ANSWER[7:40], ANSWER[40:]):
        tls.write(piece)


def end_of_connection_ends_the_answer(tls: Tls) -> None:
    tls.write(CLOSE_DELIMITED)
    tls.say_goodbye()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def door_to(certificate: tuple[Path, Path]) -> Callable[[Play], Iterator[Door]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve(accepted: socket.socket, play: Play) -> None:
        # Without this the kernel here may keep the answer back behind the session tickets, and drop it at the close.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = Tls(accepted, incoming, outgoing, context.wrap_bio(incoming, outgoing, server_side=True))
        tls.shake_hands()
        received = b""
        while b"\r\n\r\n" not in received:
            received += tls.read()
        play(tls)

    def opened(play: Play) -> Iterator[Door]:
        with raw_upstream(partial(serve, play=play), head_first=False) as url:
            target = url.replace("http://127.0.0.1", "https://localhost")
            with open_door(target, ssl_context=client_tls(str(certificate[0]))) as door:
                yield door

    return opened


@pytest.mark.parametrize(
    "play",
    [
        answer_and_close,
        answer_and_reset,
        say_goodbye_and_close,
        say_goodbye_later_and_reset,
        read_a_little_and_close,
        answer_in_pieces,
        end_of_connection_ends_the_answer,
    ],
)
def test_the_answer_of_an_https_upstream_that_closes_without_reading_the_body_always_arrives(
    play: Play, door_to: Callable[[Play], Iterator[Door]]
) -> None:
    for door in door_to(play):
        answers = [upload(door, 9 * MIB) for _ in range(20)]
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 413"] * 20
        assert all(b"the upstream says no" in answer for answer in answers)


def test_an_incomplete_answer_over_tls_before_a_reset_is_not_taken_as_complete(
    door_to: Callable[[Play], Iterator[Door]],
) -> None:
    for door in door_to(lambda tls: tls.write(ANSWER[:-5])):
        for _ in range(5):
            answer = upload(door, 2 * MIB)
            assert not answer.endswith(b"the upstream says no")
            assert not answer.startswith(b"HTTP/1.1 200")


def test_an_https_upstream_that_resets_without_an_answer_gives_502(
    door_to: Callable[[Play], Iterator[Door]],
) -> None:
    for door in door_to(lambda tls: None):
        assert upload(door, MIB).startswith(b"HTTP/1.1 502")


def test_bytes_of_another_that_are_no_tls_records_are_not_taken_as_an_answer(
    door_to: Callable[[Play], Iterator[Door]],
) -> None:
    """What is left behind after a reset is read through TLS too: nobody can add an answer to it."""
    for door in door_to(lambda tls: tls.plain.sendall(ANSWER)):
        for _ in range(5):
            assert b"the upstream says no" not in upload(door, 2 * MIB)
