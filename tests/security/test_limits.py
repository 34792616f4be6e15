"""DS: limits on the memory, connections and time that one client can use."""

from __future__ import annotations

import re
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bff.browser.cookies import find_session_cookie
from bff.errors import InvalidToken
from bff.oidc.strict_json import parse_object
from gateway.headers.cookies import strip_gateway_cookies
from tests.effort import costs_less_than
from tests.fakes import RecordingUpstream
from tests.front_door import api_route, page_route
from tests.security.house import House
from tests.security.raw import RawAnswer, connect, count_answers, handshake, open_websocket, read_all
from tests.security.rejection import assert_rejected

MIB = 1 << 20


def memory() -> int:
    """Resident bytes of this process, in which door, provider and upstream all run."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.fixture
def small_house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    """Routes with small bodies: an API of 1,000 bytes and a page of 64 MiB, open to everybody."""
    return build_house(
        routes=[
            api_route(upstream, auth="public", max_body_bytes=1_000),
            page_route(upstream, auth="public", max_body_bytes=64 * MIB),
        ]
    )


def post(house: House, path: str, *lines: str, body: bytes = b"") -> RawAnswer:
    head = "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {house.host}", "Connection: close", *lines])
    return RawAnswer.parse(house.raw(head.encode() + b"\r\n\r\n" + body))


def chunked(body: bytes, *, size: int = 100) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_ds_1_a_body_at_the_limit_is_accepted_and_one_byte_more_is_refused(small_house: House) -> None:
    house = small_house
    assert post(house, "/api/x", "Content-Length: 1000", body=b"a" * 1_000).status == 200
    house.upstream.clear()
    assert_rejected(house, lambda: post(house, "/api/x", "Content-Length: 1001", body=b"a" * 1_001), statuses=[413])


def test_ds_1_a_chunked_body_has_the_same_limit(small_house: House) -> None:
    house = small_house
    framing = "Transfer-Encoding: chunked"
    assert post(house, "/api/x", framing, body=chunked(b"a" * 1_000)).status == 200
    answer = post(house, "/api/x", framing, body=chunked(b"a" * 1_001))
    assert answer.status == 413
    assert all(request.body_size <= 1_000 for request in house.upstream.requests)
    assert [request.complete for request in house.upstream.requests].count(True) == 1


def test_ds_1_a_very_large_announced_body_is_refused_before_it_is_sent(small_house: House) -> None:
    answer = post(small_house, "/api/x", "Content-Length: 999999999999")
    assert answer.status == 413
    assert small_house.upstream.requests == []


def test_ds_1_a_long_chunked_body_is_streamed_and_cut_at_its_limit(small_house: House) -> None:
    house = small_house
    head = f"POST /upload HTTP/1.1\r\nHost: {house.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    piece = b"%x\r\n%s\r\n" % (MIB, b"a" * MIB)
    before, sent, most = memory(), 0, 0
    with connect(house.door.port, timeout=20) as client:
        client.sendall(head)
        with suppress(OSError):
            for _ in range(256):
                client.sendall(piece)
                sent += MIB
                most = max(most, memory())
        answer = RawAnswer.parse(read_all(client))
    assert answer.status in (413, 0)  # 0: the connection ended before the answer arrived
    assert 60 * MIB <= sent < 128 * MIB, "a client may go on sending for ever"
    assert most - before < 48 * MIB, "the body was held in memory"


def test_ds_1_a_slow_upstream_slows_the_client_down(small_house: House) -> None:
    house = small_house
    house.upstream.respond("/upload", read_rate=100_000)
    head = f"POST /upload HTTP/1.1\r\nHost: {house.host}\r\nContent-Length: {60 * MIB}\r\n\r\n".encode()
    before, sent = memory(), 0
    with connect(house.door.port, timeout=0.5) as client:
        client.sendall(head)
        with suppress(TimeoutError):
            for _ in range(100):  # without back-pressure each takes a whole MiB, even on a busy machine
                sent += client.send(b"a" * min(MIB, 60 * MIB - sent))
                if sent == 60 * MIB:
                    break
        assert sent < 40 * MIB, "there is no back-pressure"
        assert memory() - before < 48 * MIB


OVERSIZED: dict[str, tuple[bytes, int]] = {
    "URL of 9 KB": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n", 414),
    "URL of 2 MB": (b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n", 414),
    "query of 9 KB": (b"GET /?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n", 414),
    "header of 33 KB": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 33_000 + b"\r\n\r\n", 431),
    "header of 2 MB": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n", 431),
    "name of 33 KB": (b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X" * 33_000 + b": a\r\n\r\n", 431),
    "101 headers": (b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: a\r\n" * 100 + b"\r\n", 431),
    "5,000 headers": (b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: a\r\n" * 5_000 + b"\r\n", 431),
    "201 cookies": (b"GET / HTTP/1.1\r\nHost: {host}\r\nCookie: " + b"; ".join([b"a=1"] * 201) + b"\r\n\r\n", 431),
    "201 cookies in headers": (
        b"GET / HTTP/1.1\r\nHost: {host}\r\n" + (b"Cookie: " + b"a=1;" * 20 + b"\r\n") * 11 + b"\r\n",
        431,
    ),
    "endless header": (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 200_000, 431),
}


@pytest.mark.parametrize("case", OVERSIZED)
@pytest.mark.parametrize("prefix", ["", "websocket"])
def test_ds_2_request_heads_over_a_limit_are_refused(house: House, case: str, prefix: str) -> None:
    request, status = OVERSIZED[case]
    if prefix:
        upgrade = b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        upgrade += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        request = request.replace(b"Host: {host}\r\n", b"Host: {host}" + upgrade, 1)
    answer = assert_rejected(house, lambda: RawAnswer.parse(house.raw(request)), statuses=[status])
    assert count_answers(answer.received) == 1


def test_ds_2_a_request_head_within_the_limits_is_accepted(small_house: House) -> None:
    house = small_house
    cookies = "; ".join(f"c{number}=1" for number in range(200))
    lines = [f"X-{number}: a" for number in range(90)]
    assert house.get_raw("/x?" + "a" * 7_000, f"Cookie: {cookies}", *lines).status == 200


def test_ds_2_a_large_cookie_header_is_read_quickly(house: House) -> None:
    for hostile in (
        b"a=1;" * 16_000,
        b";" * 65_536,
        b"=" * 65_536,
        b"vestibule" * 7_000,
        b"%76" * 20_000,
        b"vestibule=" * 6_000,
    ):
        with costs_less_than(0.25, hostile[:20]):
            find_session_cookie([hostile], "vestibule")
            strip_gateway_cookies(hostile)


@pytest.fixture
def impatient_house(build_house: Callable[..., House], upstream: RecordingUpstream) -> House:
    """The time limits at a twentieth: half a second for a head, 1.5 s between two looks at a body."""
    routes = [page_route(upstream, auth="public")]
    return build_house(routes=routes, limits={"header_timeout_seconds": 0.5, "connections_per_address": 150})


def seconds_until_closed(client: socket.socket, *, at_most: float) -> float:
    started = time.monotonic()
    client.settimeout(at_most)
    try:
        while client.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - started


def seconds_of_dripping(client: socket.socket, piece: bytes, *, at_most: float) -> float:
    """How long one could go on sending `piece` ten times a second."""
    started = time.monotonic()
    with suppress(OSError):
        while time.monotonic() - started < at_most:
            client.sendall(piece)
            time.sleep(0.1)
    return time.monotonic() - started


@pytest.mark.parametrize(
    "sent",
    [b"", b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX: "],
    ids=["silent", "a byte", "a line", "half a head"],
)
def test_ds_3_a_connection_without_a_request_head_is_closed(impatient_house: House, sent: bytes) -> None:
    with connect(impatient_house.door.port) as client:
        client.sendall(sent)
        assert 0.2 < seconds_until_closed(client, at_most=20) < 20


def test_ds_3_a_connection_with_a_very_slow_request_head_is_closed(impatient_house: House) -> None:
    with connect(impatient_house.door.port) as client:
        assert seconds_of_dripping(client, b"X", at_most=20) < 20


def test_ds_3_a_request_with_a_very_slow_body_is_aborted(impatient_house: House) -> None:
    house = impatient_house
    with connect(house.door.port) as client:
        client.sendall(f"POST /x HTTP/1.1\r\nHost: {house.host}\r\nContent-Length: 100000\r\n\r\n".encode())
        assert seconds_of_dripping(client, b"x", at_most=30) < 30
    house.upstream.wait_for(lambda it: bool(it.requests) and not it.requests[-1].complete)


def test_ds_3_the_service_still_answers_with_as_many_idle_sockets_as_allowed(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
    """A hundred silent connections of one address: others are served while they are there."""
    routes = [page_route(upstream, auth="public")]
    house = build_house(routes=routes, limits={"header_timeout_seconds": 60, "connections_per_address": 150})
    idle = [connect(house.door.port) for _ in range(100)]
    try:
        assert house.get_raw("/x").status == 200
        for client in idle:
            client.setblocking(False)
            with pytest.raises(BlockingIOError):  # still open
                client.recv(1)
    finally:
        for client in idle:
            client.close()


def test_ds_3_the_number_of_connections_of_one_address_is_limited(impatient_house: House) -> None:
    house = impatient_house
    held = [connect(house.door.port) for _ in range(150)]
    try:
        received = house.raw(b"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert received == b"" or received.startswith(b"HTTP/1.1 429")
    finally:
        for client in held:
            client.close()
    deadline = time.monotonic() + 20
    while house.get_raw("/x").status != 200:
        assert time.monotonic() < deadline, "the places were not given back"
        time.sleep(0.05)


def test_ds_3_the_number_of_sockets_of_one_session_is_limited(build_house: Callable[..., House]) -> None:
    house = build_house(limits={"websockets_per_session": 3})
    cookie = house.session_cookie(house.sign_in())
    opened = [open_websocket(house.door.port, handshake("/ws", house.host, cookie=cookie)) for _ in range(5)]
    assert [answer.status for answer, _ in opened] == [101, 101, 101, 503, 503]
    for _, client in opened:
        client.close()


@pytest.fixture
def crowded_house(build_house: Callable[..., House]) -> House:
    return build_house(limits={"pending_logins": 50, "pending_logins_per_address": 1_000})


def test_ds_4_the_number_of_started_sign_ins_is_limited_and_none_is_evicted(crowded_house: House) -> None:
    house = crowded_house
    browser = house.sign_in()
    statuses = [house.get_raw("/auth/login").status for _ in range(300)]
    assert statuses == [302] * 50 + [503] * 250
    assert house.is_signed_in(browser)
    assert browser.fetch(f"{house.url}/api/x").status_code == 200
    assert len(house.store.logins) <= 52
    assert {event["reason"] for event in house.refusals()} == {"login_limit"}


def test_ds_4_one_address_cannot_use_all_places_for_sign_ins(build_house: Callable[..., House]) -> None:
    limits = {"pending_logins": 1_000, "pending_logins_per_address": 20}
    house = build_house(limits=limits, server={"trusted_proxies": ["127.0.0.0/8"]})
    flood = [house.get_raw("/auth/login", "X-Forwarded-For: 6.6.6.6").status for _ in range(60)]
    assert flood == [302] * 20 + [503] * 40
    assert house.get_raw("/auth/login", "X-Forwarded-For: 9.9.9.9").status == 302


def test_ds_4_all_addresses_of_one_ipv6_network_count_as_one_client(build_house: Callable[..., House]) -> None:
    """Somebody with an IPv6 address has 2^64 of them. Together they get one share."""
    limits = {"pending_logins": 1_000, "pending_logins_per_address": 5}
    house = build_house(limits=limits, server={"trusted_proxies": ["127.0.0.0/8"]})
    flood = [house.get_raw("/auth/login", f"X-Forwarded-For: 2001:db8::{host:x}").status for host in range(20)]
    assert flood == [302] * 5 + [503] * 15
    assert house.get_raw("/auth/login", "X-Forwarded-For: 2001:db8:0:1::1").status == 302


def test_ds_4_a_finished_sign_in_gives_its_place_back(build_house: Callable[..., House]) -> None:
    house = build_house(limits={"pending_logins": 3, "pending_logins_per_address": 3})
    for _ in range(10):
        house.sign_in()


def test_ds_4_an_expired_sign_in_gives_its_place_back(timed_house: Callable[..., House]) -> None:
    house = timed_house(limits={"pending_logins": 5, "pending_logins_per_address": 5})
    assert [house.get_raw("/auth/login").status for _ in range(6)] == [302] * 5 + [503]
    house.door.app.bff.clock.advance(601)  # type: ignore[attr-defined]  # the test's own clock
    assert house.get_raw("/auth/login").status == 302


HOSTILE_FORMS: dict[str, tuple[str, bytes]] = {
    "16 KB of a;a;": ("application/x-www-form-urlencoded", b"a;" * 8_000),
    "8,000 fields": ("application/x-www-form-urlencoded", b"a&" * 8_000),
    "percent signs": ("application/x-www-form-urlencoded", b"%" * 16_000),
    "boundary of 16 KB": ("multipart/form-data; boundary=" + "x" * 16_000, b"--x--"),
    "content type to backtrack in": ("application/x-www-form-urlencoded;" + 'a="' * 5_000, b"a=1"),
}


@pytest.mark.parametrize("case", HOSTILE_FORMS)
def test_ds_5_large_forms_are_handled_quickly(house: House, case: str) -> None:
    """The form and another client's answer together take at most half a second: the event loop is not blocked."""
    content_type, body = HOSTILE_FORMS[case]
    browser = house.sign_in()
    cookie = house.session_cookie(browser)
    lines = [f"Content-Type: {content_type}", f"Content-Length: {len(body)}", f"Cookie: vestibule={cookie}"]
    with ThreadPoolExecutor(1) as pool, costs_less_than(0.5):
        attack = pool.submit(post, house, "/auth/logout", *lines, f"Origin: {house.url}", body=body)
        assert house.get_raw("/public/x").status == 200
        assert attack.result().status in (303, 400, 413, 415, 431)


def test_ds_5_hostile_json_of_a_provider_is_handled_quickly() -> None:
    hostile = [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'\\"' * 500_000,
        b'"' * 1_000_000,
        b'{"a":"' + b'\\"' * 500_000,
        b'"\\' * 500_000,
        b"9" * 1_000_000,
        b'{"a":' + b"9" * 1_000_000 + b"}",
        b"{" + b",".join(b'"k%d":1' % number for number in range(80_000)) + b',"k1":2}',
        b"-" * 1_000_000,
        b" " * 1_048_000 + b"{",
    ]
    for body in hostile:
        with costs_less_than(0.5, body[:20]), pytest.raises(InvalidToken):
            parse_object(body, code="x")


def every_pattern() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """The compiled patterns of every module that the running door has loaded."""
    for name, module in sorted(sys.modules.items()):
        if name.startswith(("bff.", "gateway.")):
            for constant, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    yield f"{name}.{constant}", value


def test_ds_5_no_regular_expression_backtracks_exponentially() -> None:
    probes = [
        "a" * 20_000,
        "a=" * 10_000,
        '"' * 20_000,
        '\\"' * 10_000,
        "a" * 20_000 + "!",
        "%41" * 6_000,
        "a." * 10_000 + " ",
    ]
    probes += [
        "-" * 20_000 + "\x00",
        ", " * 10_000,
        ";" * 20_000,
        "<head " * 3_000,
        "a='" * 6_000,
        'a="b' * 5_000,
        "1:" * 9_000,
    ]
    checked = 0
    for name, pattern in every_pattern():
        for probe in probes:
            text = probe if isinstance(pattern.pattern, str) else probe.encode()
            with costs_less_than(0.3, f"{name} on {probe[:10]!r}"):
                pattern.match(text)  # type: ignore[arg-type]  # of the pattern's own kind
                pattern.fullmatch(text)  # type: ignore[arg-type]  # of the pattern's own kind
        checked += 1
    assert checked > 15
