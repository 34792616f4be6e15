"""Size, count and time limits of the listener: SECURITY DS-2 and DS-3, with durations scaled down."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from ipaddress import ip_network

import pytest

from bff.settings.tables import LimitSettings
from gateway.serving import http as guarded_http
from gateway.serving.connections import Connections
from tests.gateway.front import Front, is_cut_off, read_all, running, wait_for

HOST = b"Host: front\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """The limits as they are by default, time-outs a tenth."""
    with running(LimitSettings(header_timeout_seconds=0.6)) as started:
        yield started


@pytest.fixture(scope="module")
def patient() -> Iterator[Front]:
    """All limits as they are by default, so that a size is cut off long before a time-out would be."""
    with running() as started:
        yield started


def request(target: bytes = b"/", headers: bytes = b"") -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + headers + CLOSE + b"\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


WITHIN = {
    "url of 8192 bytes": request(b"/" + b"a" * 8191),
    "98 more headers": request(headers=b"".join(b"X-%d: y\r\n" % n for n in range(98))),
    "30 KB in one header": request(headers=b"X: " + b"y" * 30_000 + b"\r\n"),
    "200 cookies": request(headers=b"Cookie: " + b"; ".join(b"c%d=v" % n for n in range(200)) + b"\r\n"),
}
BEYOND = {
    "url of 8193 bytes": (414, request(b"/" + b"a" * 8192)),
    "url of 100 KB": (414, request(b"/?" + b"a" * 100_000)),
    "99 more headers": (431, request(headers=b"".join(b"X-%d: y\r\n" % n for n in range(99)))),
    "5000 headers": (431, request(headers=b"X: y\r\n" * 5000)),
    "33 KB in one header": (431, request(headers=b"X: " + b"y" * 33_000 + b"\r\n")),
    "33 KB in 30 headers": (431, request(headers=(b"X: " + b"y" * 1100 + b"\r\n") * 30)),
    "201 cookies": (431, request(headers=b"Cookie: " + b"; ".join(b"c%d=v" % n for n in range(201)) + b"\r\n")),
    "201 cookies in two headers": (431, request(headers=(b"Cookie: " + b"; ".join([b"c=v"] * 101) + b"\r\n") * 2)),
}


@pytest.mark.parametrize("data", WITHIN.values(), ids=WITHIN.keys())
def test_ds_2_a_request_within_the_limits_is_accepted(front: Front, data: bytes) -> None:
    assert status(front.exchange(data)) == 200


@pytest.mark.parametrize("data", WITHIN.values(), ids=WITHIN.keys())
def test_ds_2_a_request_within_the_limits_is_accepted_in_small_packets(front: Front, data: bytes) -> None:
    with front.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), 700):
            client.sendall(data[start : start + 700])
            time.sleep(0.002)
        assert status(read_all(client)) == 200


@pytest.mark.parametrize(("code", "data"), BEYOND.values(), ids=BEYOND.keys())
def test_ds_2_a_request_over_a_limit_is_refused_before_the_application(front: Front, code: int, data: bytes) -> None:
    before = len(front.app.requests)
    assert status(front.exchange(data)) == code
    assert len(front.app.requests) == before


ENDLESS = {"url": b"GET /", "value": b"GET / HTTP/1.1\r\nX: ", "name": b"GET / HTTP/1.1\r\nX"}


@pytest.mark.parametrize("start", ENDLESS.values(), ids=ENDLESS.keys())
def test_ds_2_an_endless_line_is_cut_off_while_it_arrives(patient: Front, start: bytes) -> None:
    with patient.connect() as client:
        client.sendall(start)
        assert is_cut_off(client, b"a" * 1000, pause=0.001)


def test_ds_2_endless_trailers_and_chunk_extensions_are_cut_off(patient: Front) -> None:
    head = b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    for start, more in ((b"0\r\n", b"X: yyyyyyyyyyyyyyyy\r\n"), (b"3;a=", b"bbbbbbbbbbbbbbbb")):
        with patient.connect() as client:
            client.sendall(head + start)
            assert is_cut_off(client, more * 100, pause=0.001)


def test_ds_2_very_small_chunks_are_accepted(front: Front) -> None:
    head = b"POST /tiny HTTP/1.1\r\n" + HOST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    with front.connect() as client:
        client.sendall(head)
        for _ in range(100):
            client.sendall(b"1\r\nx\r\n" * 500)
        client.sendall(b"0\r\n\r\n")
        answer = read_all(client)
    assert status(answer) == 200
    assert answer.endswith(b"x" * 50_000)


@pytest.mark.parametrize("sent", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n"], ids=["line", "headers"])
def test_ds_3_a_connection_with_an_incomplete_head_is_closed_after_the_timeout(front: Front, sent: bytes) -> None:
    started = time.monotonic()
    assert status(front.exchange(sent)) == 408
    assert 0.4 < time.monotonic() - started < 20


def test_ds_3_sending_a_head_slowly_does_not_extend_its_timeout(front: Front) -> None:
    started = time.monotonic()
    with front.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert is_cut_off(client, b"X: y\r\n", pause=0.05)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "empty lines"])
def test_ds_3_a_silent_connection_is_closed_without_an_answer(front: Front, sent: bytes) -> None:
    started = time.monotonic()
    assert front.exchange(sent) == b""
    assert time.monotonic() - started < 20


def test_ds_3_a_kept_connection_with_an_incomplete_second_head_is_closed_after_the_timeout(front: Front) -> None:
    started = time.monotonic()
    with front.connect() as client:
        client.sendall(b"GET /one HTTP/1.1\r\n" + HOST + b"\r\n")
        assert status(client.recv(4096)) == 200
        time.sleep(0.7)  # idle between requests is allowed for longer than a head may take
        client.sendall(b"GET /two HTTP/1.1\r\n")
        assert status(read_all(client)) == 408
    assert time.monotonic() - started < 20


def test_ds_3_a_request_whose_body_comes_too_slowly_is_aborted(front: Front) -> None:
    started = time.monotonic()
    with front.connect() as client:
        client.sendall(b"POST /drip HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
        answer = b""
        client.settimeout(0.02)
        while not answer and time.monotonic() - started < 20:
            client.sendall(b"x")
            try:
                answer = client.recv(4096)
            except TimeoutError:
                continue
    assert status(answer) == 408
    wait_for(lambda: "/drip" in front.app.broken_off)


def test_ds_3_a_request_whose_body_comes_slowly_but_steadily_is_accepted(front: Front) -> None:
    body = b"y" * 60
    with front.connect(timeout=10) as client:
        client.sendall(b"POST /steady HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Length: 2400\r\n\r\n")
        for _ in range(40):  # four seconds, twice a whole window, at six times the floor
            client.sendall(body)
            time.sleep(0.1)
        assert status(read_all(client)) == 200


def test_ds_3_the_body_timeout_does_not_run_while_the_application_reads_slowly() -> None:
    """The application takes its 0.3 s before it reads; a window of progress is 0.15 s here."""
    head = b"POST /slow/expect HTTP/1.1\r\n" + HOST + CLOSE
    with running(LimitSettings(header_timeout_seconds=0.05)) as hasty:
        with hasty.connect() as client:
            client.sendall(head + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
            client.sendall(b"abc")
            assert read_all(client).endswith(b"/slow/expect abc")
        with hasty.connect() as client:
            client.sendall(head + b"Content-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
            assert status(read_all(client)) == 200


def test_a_broken_body_after_its_answer_gets_no_second_answer(front: Front) -> None:
    with front.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert status(client.recv(4096)) == 200
        client.sendall(b"nonsense\r\n")
        assert read_all(client) == b""


def test_ds_3_the_connections_of_an_address_are_limited_and_closed_ones_are_given_back() -> None:
    with running(LimitSettings(connections_per_address=3)) as few, ExitStack() as stack:
        held = [stack.enter_context(few.connect()) for _ in range(3)]
        for client in held:
            client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert status(client.recv(4096)) == 200
        assert status(few.exchange(b"")) == 429
        held[0].close()
        wait_for(lambda: few.exchange(request()).startswith(b"HTTP/1.1 200"))


def test_ds_3_websockets_count_among_the_connections() -> None:
    handshake = (
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with running(LimitSettings(connections_per_address=1)) as one:
        with one.connect() as client:
            client.sendall(handshake)
            assert status(client.recv(4096)) == 101
            assert status(one.exchange(b"")) == 429
        wait_for(lambda: one.exchange(request()).startswith(b"HTTP/1.1 200"))


def test_ds_3_a_trusted_proxy_may_hold_any_number() -> None:
    with running(LimitSettings(connections_per_address=1), trusted_proxies=("127.0.0.0/8",)) as one, one.connect():
        assert status(one.exchange(request())) == 200


PROXY_SECRET = "unit-test-secret-0123456789-abcdefghijklmnop"
PROOF = b"X-Vestibule-Proxy: " + PROXY_SECRET.encode() + b"\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def proxied() -> Iterator[Front]:
    """One connection for each address, and a proxy on this machine that shows a secret."""
    limits = LimitSettings(connections_per_address=1)
    with running(limits, trusted_proxies=("127.0.0.0/8",), trusted_proxy_secret=PROXY_SECRET) as started:
        yield started


def keep_open(front: Front, stack: ExitStack, headers: bytes) -> int:
    """The status that a connection gets which is then left open."""
    client = stack.enter_context(front.connect())
    client.sendall(b"GET / HTTP/1.1\r\n" + HOST + headers + b"\r\n")
    return status(client.recv(4096))


STRANGERS = {
    "no secret": b"",
    "another secret": b"X-Vestibule-Proxy: guessed\r\n",
    "the secret twice": PROOF + PROOF,
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
def test_ds_3_a_connection_from_the_proxys_address_without_its_secret_is_counted(
    proxied: Front, headers: bytes
) -> None:
    with ExitStack() as stack:
        assert [keep_open(proxied, stack, headers) for _ in range(2)] == [200, 429]
        assert [keep_open(proxied, stack, PROOF) for _ in range(3)] == [200] * 3, "the proxy does not suffer"
    wait_for(lambda: proxied.exchange(request(headers=headers)).startswith(b"HTTP/1.1 200"))


def test_ds_3_a_connection_is_counted_when_a_later_request_lacks_the_secret(proxied: Front) -> None:
    with ExitStack() as stack:
        assert keep_open(proxied, stack, b"") == 200
        client = stack.enter_context(proxied.connect())
        client.sendall(b"GET / HTTP/1.1\r\n" + HOST + PROOF + b"\r\n")
        assert status(client.recv(4096)) == 200
        client.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert status(client.recv(4096)) == 429


def test_ds_3_a_websocket_without_the_secret_stays_counted(proxied: Front) -> None:
    with ExitStack() as stack:
        client = stack.enter_context(proxied.connect())
        client.sendall(HANDSHAKE + b"\r\n")
        assert status(client.recv(4096)) == 101
        assert [keep_open(proxied, stack, headers) for headers in (b"", PROOF)] == [429, 200]
        for _ in range(2):
            other = stack.enter_context(proxied.connect())
            other.sendall(HANDSHAKE + PROOF + b"\r\n")
            assert status(other.recv(4096)) == 101
    wait_for(lambda: proxied.exchange(request()).startswith(b"HTTP/1.1 200"))


def test_connections_are_counted_per_address_and_an_address_without_connections_is_forgotten() -> None:
    counted = Connections(2, trusted=(ip_network("10.0.0.0/8"),))
    assert [counted.open("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert counted.open("192.0.2.2")
    assert [counted.open("10.1.2.3") for _ in range(3)] == [True, True, True]
    assert [counted.open("") for _ in range(3)] == [True, True, True]
    for _ in range(3):
        counted.close("192.0.2.1")
    assert counted.count("192.0.2.1") == 0
    assert counted.open("192.0.2.1")


def test_an_ipv6_client_is_counted_by_its_64_bit_network_and_a_trusted_proxy_by_its_address() -> None:
    counted = Connections(2, trusted=(ip_network("2001:db8:9::7/128"),))
    assert [counted.open(f"2001:db8::{host}%eth0") for host in range(3)] == [True, True, False]
    assert counted.open("2001:db8:0:1::1")
    assert [counted.open(address) for address in ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1")] == [True, True, False]
    assert [counted.open("2001:db8:9::7") for _ in range(3)] == [True, True, True]
    assert counted.open("2001:db8:9::8"), "a proxy takes nothing from its neighbours"
    for host in range(3):
        counted.close(f"2001:db8::{host}%eth0")
    assert counted.count("2001:db8::99") == 0


def test_a_client_that_does_not_read_its_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_http, "WRITE_STALL_SECONDS", 0.3)
    with running() as stalled, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", stalled.port))
        body = b"x" * 8_000_000
        client.sendall(b"POST /big HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: stalled.app.bodies == [body])
        time.sleep(0.6)
        received = 0
        with suppress(ConnectionError):
            while chunk := client.recv(65_536):
                received += len(chunk)
        assert received < len(body)
