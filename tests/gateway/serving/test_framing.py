"""The listener refuses ambiguous requests: PX-7, PX-8, PX-9, PX-12 over raw sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.gateway.front import Front, read_all, running, wait_for
from tests.payloads.framing import AMBIGUOUS_HEADS, BROKEN_CHUNKS

SECOND = b"GET /second HTTP/1.1\r\nHost: front\r\n\r\n"
LAST = b"GET /second HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"
HOST = b"Host: front\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Front]:
    with running() as started:
        yield started


@pytest.fixture
def front(shared: Front) -> Front:
    """The one front of this module, with nothing recorded."""
    shared.start_afresh()
    return shared


def post(headers: bytes, body: bytes = b"0\r\n\r\n", *, version: bytes = b"1.1") -> bytes:
    return b"POST /first HTTP/" + version + b"\r\n" + HOST + headers + b"\r\n" + body + SECOND


def get(target: bytes, *, method: bytes = b"GET", headers: bytes = HOST) -> bytes:
    return method + b" " + target + b" HTTP/1.1\r\n" + headers + b"\r\n" + SECOND


TARGETS = {
    "@evil.example": b"@evil.example/",
    "port and userinfo": b":80@evil.example/",
    "dot and domain": b".evil.example/",
    "absolute form of another host": b"http://evil.example/",
    "absolute form with userinfo": b"http://front@evil.example/",
    "absolute form with another port": b"http://front:81/",
    "absolute form without a path": b"http://front",
    "another scheme": b"ftp://front/",
    "two slashes": b"//evil.example/",
    "slash and backslash": b"/\\evil.example/",
    "absolute form, then two slashes": b"http://front//evil.example/",
    "asterisk": b"*",
    "fragment": b"/first#b",
    "encoded-looking fragment": b"/first?x#/../second",
    "space": b"/fi rst",
    "control character": b"/fi\x01rst",
    "raw UTF-8": b"/fi\xc3\xa9rst",
    "empty": b"",
}

HOSTS = {
    "none": b"",
    "empty": b"Host:\r\n",
    "twice the same": HOST + HOST,
    "twice different": HOST + b"Host: evil.example\r\n",
    "other spelling beside": HOST + b"HOST: evil.example\r\n",
    "with a path": b"Host: front/public?\r\n",
    "with userinfo": b"Host: front@evil.example\r\n",
    "list": b"Host: front, evil.example\r\n",
    "space inside": b"Host: front evil\r\n",
    "long port": b"Host: front:8000000\r\n",
    "port of letters": b"Host: front:http\r\n",
    "not ASCII": b"Host: fr\xc3\xb6nt\r\n",
    "open bracket": b"Host: [::1\r\n",
}


@pytest.mark.parametrize("head", AMBIGUOUS_HEADS.values(), ids=AMBIGUOUS_HEADS.keys())
def test_px_7_an_ambiguous_request_head_never_reaches_the_application(front: Front, head: bytes) -> None:
    answer = front.exchange(head.replace(b"{host}", b"front").replace(b"{path}", b"/first") + SECOND)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert front.app.paths == []


@pytest.mark.parametrize("body", BROKEN_CHUNKS.values(), ids=BROKEN_CHUNKS.keys())
def test_px_7_a_broken_chunk_ends_the_connection_and_its_request(front: Front, body: bytes) -> None:
    answer = front.exchange(post(b"Transfer-Encoding: chunked\r\n", body))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert "/second" not in front.app.paths
    assert front.app.bodies == [], "a body that broke off was taken for a whole one"


def test_px_7_a_broken_chunk_in_a_later_packet_aborts_the_running_request(front: Front) -> None:
    with front.connect() as client:
        client.sendall(b"POST /first HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        wait_for(lambda: front.app.paths == ["/first"])
        client.sendall(b"XX\r\n" + SECOND)
        assert read_all(client).startswith(b"HTTP/1.1 400 ")
    wait_for(lambda: front.app.broken_off == ["/first"])
    assert front.app.paths == ["/first"]


def test_px_7_valid_requests_before_a_bad_one_are_answered_and_later_bytes_are_ignored(front: Front) -> None:
    bad = b"GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
    answer = front.exchange(b"GET /slow/1 HTTP/1.1\r\n" + HOST + b"\r\n" + SECOND + bad + SECOND)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.endswith(b"/second ")
    assert front.app.paths == ["/slow/1", "/second"]


def test_px_7_a_queued_request_with_a_bad_body_is_refused_after_the_requests_before_it(front: Front) -> None:
    queued = post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabcXX")
    answer = front.exchange(b"GET /slow/1 HTTP/1.1\r\n" + HOST + b"\r\n" + queued)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 400 ") == 1
    assert front.app.paths == ["/slow/1"]


def test_px_7_valid_chunked_and_sized_bodies_pass_unchanged(front: Front) -> None:
    chunked = b"POST /c HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    sized = b"POST /s HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nConnection: close\r\n\r\nwxyz"
    answer = front.exchange(chunked + sized)
    assert b"/c abcde" in answer
    assert answer.endswith(b"/s wxyz")


@pytest.mark.parametrize("pause", [False, True], ids=["same segment", "delayed"])
def test_px_8_trailers_never_become_headers(front: Front, *, pause: bool) -> None:
    head = b"POST /slow/t HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n"
    trailers = b"0\r\nAuthorization: Bearer x\r\nX-Forwarded-User: eve\r\nHost: evil.example\r\n\r\n"
    with front.connect() as client:
        client.sendall(head if pause else head + trailers)
        if pause:
            wait_for(lambda: front.app.paths == ["/slow/t"])
            client.sendall(trailers)
        assert read_all(client).endswith(b"/slow/t abc")
    [scope] = front.app.requests
    names = [name for name, _ in scope["headers"]]
    assert names == [b"host", b"transfer-encoding", b"connection"]
    assert scope["headers"] == scope["headers_at_start"]


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_px_9_a_target_that_is_not_a_path_of_this_host_is_refused(front: Front, target: bytes) -> None:
    answer = front.exchange(get(target))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert front.app.paths == []
    assert b"evil" not in answer


@pytest.mark.parametrize("headers", HOSTS.values(), ids=HOSTS.keys())
def test_px_9_a_request_needs_exactly_one_valid_host(front: Front, headers: bytes) -> None:
    answer = front.exchange(get(b"/first", headers=headers))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert front.app.paths == []


@pytest.mark.parametrize("host", [b"front", b"front:8000", b"127.0.0.1:8000", b"[::1]:8000", b"a-b.example.com"])
def test_px_9_ordinary_hosts_are_accepted(front: Front, host: bytes) -> None:
    answer = front.exchange(b"GET /ok HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_px_9_an_absolute_target_of_this_host_becomes_a_path(front: Front) -> None:
    answer = front.exchange(b"GET http://FRONT/a?b=c HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert answer.endswith(b"/a ")
    assert front.app.requests[0]["query_string"] == b"b=c"


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"TRACK", b"DESCRIBE", b"SOURCE", b"gEt"])
def test_px_12_methods_that_no_route_can_allow_are_refused(front: Front, method: bytes) -> None:
    answer = front.exchange(get(b"front:443" if method == b"CONNECT" else b"/first", method=method))
    assert answer.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 400 "))
    assert front.app.paths == []


UPGRADES = {
    "websocket with a length": b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n",
    "websocket with chunks": b"Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    "websocket with bytes behind": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
}
IGNORED_OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "TLS": b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    "h2c behind websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
    "websocket behind h2c": b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    "websocket, h2c": b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
    "connection in two lines": b"Connection: Upgrade\r\nConnection: HTTP2-Settings\r\nUpgrade: h2c\r\n",
}


@pytest.mark.parametrize("headers", UPGRADES.values(), ids=UPGRADES.keys())
def test_px_12_only_a_valid_websocket_handshake_is_upgraded(front: Front, headers: bytes) -> None:
    answer = front.exchange(get(b"/first", headers=HOST + headers))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert front.app.paths == []
    assert front.app.websockets == []


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
@pytest.mark.parametrize("headers", IGNORED_OFFERS.values(), ids=IGNORED_OFFERS.keys())
def test_px_12_an_upgrade_offer_to_another_protocol_is_ignored(front: Front, headers: bytes, method: bytes) -> None:
    request = get(b"/first", headers=HOST + headers, method=method).removesuffix(SECOND) + LAST
    answer = front.exchange(request)
    assert answer.count(b"HTTP/1.1 200 ") == 2, "the request after it is answered on the same connection"
    assert front.app.paths == ["/first", "/second"]
    assert front.app.websockets == []
    assert b"upgrade" not in dict(front.app.requests[0]["headers"])


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("headers", IGNORED_OFFERS.values(), ids=IGNORED_OFFERS.keys())
def test_px_12_the_body_of_a_request_with_an_ignored_upgrade_offer_is_read_as_a_body(
    front: Front, headers: bytes, framing: str
) -> None:
    body = b"4\r\nbody\r\n0\r\n\r\n" if framing == "chunks" else b"body"
    length = b"Transfer-Encoding: chunked\r\n" if framing == "chunks" else b"Content-Length: 4\r\n"
    request = b"POST /first HTTP/1.1\r\n" + HOST + headers + length + b"\r\n" + body + LAST
    assert front.exchange(request).count(b"HTTP/1.1 200 ") == 2
    assert front.app.bodies[0] == b"body"
    assert front.app.paths == ["/first", "/second"]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_px_12_a_request_inside_the_body_of_a_request_with_an_ignored_upgrade_offer_stays_a_body(
    front: Front, framing: str
) -> None:
    inner = get(b"/smuggled")
    body = b"%x\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(inner), inner) if framing == "chunks" else inner
    length = b"Transfer-Encoding: chunked\r\n" if framing == "chunks" else b"Content-Length: %d\r\n" % len(inner)
    head = b"POST /first HTTP/1.1\r\n" + HOST + IGNORED_OFFERS["h2c"] + length + b"\r\n"
    with front.connect() as client:
        for part in (head, body[:10], body[10:], LAST):  # the body also comes in packets of its own
            client.sendall(part)
            time.sleep(0.02)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert front.app.bodies[0] == inner
    assert front.app.paths == ["/first", "/second"]


def test_px_12_thousands_of_requests_with_ignored_upgrade_offers_in_one_packet_are_answered_in_order(
    front: Front,
) -> None:
    one = b"GET /first HTTP/1.1\r\n" + HOST + IGNORED_OFFERS["TLS"] + b"\r\n"
    assert front.exchange(one * 2000 + LAST).count(b"HTTP/1.1 200 ") == 2001


def test_px_12_http_1_0_has_no_upgrade(front: Front) -> None:
    headers = UPGRADES["websocket with bytes behind"]
    answer = front.exchange(b"GET /old HTTP/1.0\r\n" + HOST + headers + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") or answer.startswith(b"HTTP/1.0 200 ")
    assert front.app.websockets == []


def test_px_12_a_websocket_cannot_start_while_an_answer_is_pending(front: Front) -> None:
    handshake = get(b"/ws", headers=HOST + UPGRADES["websocket with bytes behind"]).removesuffix(SECOND)
    answer = front.exchange(b"GET /slow/1 HTTP/1.1\r\n" + HOST + b"\r\n" + handshake)
    assert answer.count(b"HTTP/1.1") == 1
    assert front.app.websockets == []


def test_a_websocket_after_a_valid_handshake_echoes_without_compression(front: Front) -> None:
    headers = UPGRADES["websocket with bytes behind"] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    with front.connect() as client:
        client.sendall(get(b"/ws", headers=HOST + headers).removesuffix(SECOND))
        answer = client.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"deflate" not in answer
        client.sendall(b"\x82\x83\x00\x00\x00\x00abc")
        assert client.recv(16) == b"\x82\x03abc"


@pytest.mark.parametrize(
    ("target", "cookie", "status"),
    [(b"/ws?" + b"x" * 8188, 1, 101), (b"/ws", 32_000, 101), (b"/ws?" + b"x" * 8189, 1, 414), (b"/ws", 33_000, 431)],
    ids=["longest target", "longest cookie", "target too long", "cookie too long"],
)
def test_a_websocket_handshake_has_the_same_limits_as_other_request_heads(
    front: Front, target: bytes, cookie: int, status: int
) -> None:
    headers = UPGRADES["websocket with bytes behind"] + b"Cookie: a=" + b"x" * cookie + b"\r\n"
    with front.connect() as client:
        client.sendall(get(target, headers=HOST + headers).removesuffix(SECOND))
        assert client.recv(4096).startswith(b"HTTP/1.1 %d " % status)


def test_http_1_0_with_a_host_is_served_and_closed(front: Front) -> None:
    answer = front.exchange(b"GET /old HTTP/1.0\r\n" + HOST + b"\r\n" + SECOND)
    assert answer.endswith(b"/old ")
    assert front.app.paths == ["/old"]


def test_the_answer_has_no_server_header(front: Front) -> None:
    assert b"server:" not in front.exchange(get(b"*")).lower()
    assert b"server:" not in front.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").lower()


def test_a_refused_request_is_one_event_with_reason_and_address_and_without_the_input(
    front: Front, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    front.exchange(get(b"/canary-path#x", headers=HOST + b"X-Canary: canary-header\r\n"))
    printed = capfd.readouterr()
    text = printed.out + printed.err + caplog.text
    assert text.count("request_refused") == 1
    assert "target_malformed" in text
    assert "127.0.0.1" in text
    assert "canary" not in text


def test_the_server_goes_on_when_a_client_disconnects_during_a_request(front: Front) -> None:
    client = front.connect()
    client.sendall(b"POST /gone HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nabc")
    wait_for(lambda: front.app.paths == ["/gone"])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()
    wait_for(lambda: front.app.broken_off == ["/gone"])
    assert front.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
