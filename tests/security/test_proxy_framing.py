"""PX-7 to PX-13: one reading of every request and response, whatever the bytes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest

from tests.fakes import RecordingUpstream
from tests.security.house import House
from tests.security.payloads import PATHS
from tests.security.raw import SAME_ORIGIN, RawAnswer, count_answers
from tests.security.rejection import assert_rejected

SMUGGLED = b"GET /public/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
HEAD = b"POST /public/x HTTP/1.1\r\nHost: {host}\r\n"
AMBIGUOUS: dict[str, bytes] = {
    "CL and TE": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two CL": HEAD + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "two equal CL": HEAD + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "CL list": HEAD + b"Content-Length: 1, 1\r\n\r\na",
    "signed CL": HEAD + b"Content-Length: +1\r\n\r\na",
    "negative CL": HEAD + b"Content-Length: -1\r\n\r\n",
    "hexadecimal CL": HEAD + b"Content-Length: 0x1\r\n\r\na",
    "CL with a space": HEAD + b"Content-Length: 1 0\r\n\r\na",
    "huge CL": HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    "CL with underscores": HEAD + b"Content-Length: 1_0\r\n\r\na",
    "empty CL": HEAD + b"Content-Length:\r\n\r\n",
    "TE identity, chunked": HEAD + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE CHUNKED": HEAD + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE quoted": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE empty": HEAD + b"Transfer-Encoding:\r\n\r\n",
    "chunked on 1.0": HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size with 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "chunk size signed": HEAD + b"Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    "chunk size huge": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na\r\n0\r\n\r\n",
    "chunk with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "chunk without terminator": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    "chunk extension with bare LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    "bare LF in the head": b"POST /public/x HTTP/1.1\nHost: {host}\r\n\r\n",
    "bare LF after a header": HEAD + b"X: 1\nY: 2\r\n\r\n",
    "bare CR": HEAD + b"X: 1\rY: 2\r\n\r\n",
    "obs-fold": HEAD + b"X: 1\r\n folded\r\n\r\n",
    "obs-fold of TE": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before a colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space before the first header": b"POST /public/x HTTP/1.1\r\n X: 1\r\nHost: {host}\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\x00b\r\n\r\n",
    "NUL in a name": HEAD + b"X\x00: b\r\n\r\n",
    "no colon": HEAD + b"X\r\n\r\n",
    "empty name": HEAD + b": x\r\n\r\n",
    "name with a space": HEAD + b"X Y: 1\r\n\r\n",
    "name beyond ASCII": HEAD + b"X\xff: 1\r\n\r\n",
    "HTTP/2.0": HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
    "HTTP/1.2": HEAD.replace(b"HTTP/1.1", b"HTTP/1.2") + b"\r\n",
    "HTTP/0.9": b"GET /public/x\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lower-case method": HEAD.replace(b"POST", b"post") + b"\r\n",
    "no method": b" /public/x HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_px_7_ambiguous_framing_is_refused_and_nothing_behind_it_is_read(house: House, case: str) -> None:
    received = house.raw(AMBIGUOUS[case] + SMUGGLED, timeout=2)
    assert RawAnswer.parse(received).status in (400, 405, 413, 501, 505), received[:100]
    assert count_answers(received) == 1
    assert house.upstream.requests_to("/public/smuggled") == []
    assert house.upstream.malformed == []
    assert all(request.body in (b"", b"a") for request in house.upstream.requests)


def test_px_7_a_sound_pair_of_requests_gets_both_answers(house: House) -> None:
    """The counterpart: the corpus above is not refused for being pipelined."""
    good = HEAD + b"Content-Length: 1\r\n\r\na"
    received = house.raw(good + SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert count_answers(received) == 2
    assert [request.path for request in house.upstream.requests] == ["/public/x", "/public/smuggled"]


@pytest.mark.parametrize("chunks", [b"1\r\na\r\n0\r\n\r\n", b"1;ext=1\r\na\r\n0\r\n\r\n", b"01\r\na\r\n000\r\n\r\n"])
def test_px_7_a_body_goes_on_with_one_framing(house: House, cookie: str, chunks: bytes) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    house.raw(head.encode() + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    seen = house.upstream.last
    assert seen.body == b"a"
    assert (len(seen.values("transfer-encoding")), len(seen.values("content-length"))) in ((1, 0), (0, 1))
    assert b"ext" not in seen.wire_body


@pytest.mark.parametrize("pieces", ["one segment", "late"])
def test_px_8_trailers_never_become_headers(house: House, cookie: str, pieces: str) -> None:
    head = f"POST /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    start = (
        head.encode() + b"Connection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n1\r\na\r\n"
    )
    end = b"0\r\nAuthorization: Bearer evil\r\nX-Forwarded-User: evil\r\nX-Harmless: evil\r\nHost: evil\r\n\r\n"
    received = house.raw(start + end) if pieces == "one segment" else house.raw(start, end)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"evil" not in house.upstream.last.head
    assert house.upstream.last.trailers == ()
    assert b"evil" not in received


def test_px_8_an_upstreams_trailers_never_become_headers(house: House, cookie: str) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n1\r\na\r\n0\r\n"
    house.upstream.respond("/x", raw=raw + b"Set-Cookie: vestibule=evil\r\nLocation: //evil.com\r\n\r\n")
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == 200
    assert b"evil" not in answer.received


@pytest.fixture
def evil_server() -> Iterator[tuple[socket.socket, int]]:
    """A listener that must never be connected to."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0)
    yield listener, listener.getsockname()[1]
    listener.close()


TARGETS = [
    b"@127.0.0.1:{evil}/",
    b":80@127.0.0.1:{evil}/",
    b".evil.example/",
    b"http://127.0.0.1:{evil}/",
    b"http://127.0.0.1:{evil}/public/x",
    b"http://{host}@127.0.0.1:{evil}/",
    b"http://{host}.evil.example/",
    b"http://{host}",
    b"http:///public/x",
    b"//127.0.0.1:{evil}/",
    b"///127.0.0.1:{evil}/",
    b"/\\127.0.0.1:{evil}/",
    b"\\\\127.0.0.1:{evil}\\",
    b"*",
    b"",
    b"?x",
    b"#x",
    b"public/x",
    b"127.0.0.1:{evil}",
    b"/public/x#fragment",
    b"/public/x\x00",
    b"file:///etc/passwd",
    b"https://127.0.0.1:{evil}/",
]


@pytest.mark.parametrize("target", TARGETS)
def test_px_9_a_target_is_a_path_of_this_host(
    house: House, cookie: str, evil_server: tuple[socket.socket, int], target: bytes
) -> None:
    listener, port = evil_server
    wire = target.replace(b"{evil}", str(port).encode())
    lines = f"Host: {house.host}\r\nCookie: vestibule={cookie}\r\nConnection: close\r\n\r\n"
    received = house.raw(b"GET " + wire + b" HTTP/1.1\r\n" + lines.encode(), timeout=2)
    assert RawAnswer.parse(received).status in (400, 404, 421)
    assert house.upstream.requests == []
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_px_9_the_absolute_form_of_this_host_is_its_path(house: House, cookie: str) -> None:
    answer = house.get_raw(f"http://{house.host}/public/x?a=b")
    assert answer.status == 200
    assert house.upstream.last.target == b"/public/x?a=b"


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"TRACK"])
def test_px_9_a_tunnel_is_never_opened(house: House, evil_server: tuple[socket.socket, int], method: bytes) -> None:
    listener, port = evil_server
    received = house.raw(
        method + b" 127.0.0.1:%d HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n" % port, timeout=2
    )
    assert RawAnswer.parse(received).status in (400, 405)
    with pytest.raises(BlockingIOError):
        listener.accept()


HOSTS: dict[str, bytes] = {
    "none": b"",
    "two": b"Host: {host}\r\nHost: {host}\r\n",
    "two different": b"Host: {host}\r\nHost: evil.example\r\n",
    "path": b"Host: {host}/public\r\n",
    "path and query": b"Host: {host}/public?\r\n",
    "user": b"Host: user@{host}\r\n",
    "list": b"Host: {host}, evil.example\r\n",
    "space": b"Host: {host} evil\r\n",
    "empty": b"Host:\r\n",
    "quotes": b'Host: "{host}"\r\n',
    "other": b"Host: evil.example\r\n",
    "sub-domain": b"Host: sub.{host}\r\n",
    "trailing dot": b"Host: localhost.:{port}\r\n",
    "port letters": b"Host: localhost:80a\r\n",
    "no port": b"Host: localhost\r\n",
    "IPv6": b"Host: [::1]\r\n",
    "the address": b"Host: 127.0.0.1:{port}\r\n",
    "beyond ASCII": b"Host: \xe2\x84\xaaocalhost\r\n",
}


@pytest.mark.parametrize("case", HOSTS)
@pytest.mark.parametrize("path", [b"/public/x", b"/auth/login", b"/page"])
def test_px_9_the_host_is_one_of_ours(house: House, cookie: str, case: str, path: bytes) -> None:
    lines = HOSTS[case].replace(b"{port}", str(house.door.port).encode())
    request = b"GET " + path + b" HTTP/1.1\r\n" + lines + b"Connection: close\r\nCookie: vestibule=" + cookie.encode()

    def attack() -> RawAnswer:
        return RawAnswer.parse(house.raw(request + b"\r\n\r\n"))

    answer = assert_rejected(house, attack, statuses=[400, 421])
    assert not answer.all("location")


PROTECTED = b"what only an administrator may read"


def dangerous_readings(target: bytes) -> set[str]:
    """Paths that servers of different make would take this target for."""
    path = target.partition(b"?")[0].decode("latin-1")
    readings = {path}
    for _ in range(3):
        readings |= {unquote(reading) for reading in readings}
        readings |= {reading.replace("\\", "/") for reading in readings}
        readings |= {"/".join(part.partition(";")[0] for part in reading.split("/")) for reading in readings}
        readings |= {reading.partition("\0")[0].partition("#")[0] for reading in readings}
        readings |= {collapsed(reading) for reading in readings}
    return readings


def collapsed(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part.strip().lower())
    return "/" + "/".join(parts)


@pytest.mark.parametrize("name", PATHS)
def test_px_10_no_path_reaches_what_its_route_does_not_allow(house: House, name: str) -> None:
    """Anonymous: only /public is open. What arrives there can be read as nothing else by any upstream."""
    for path in ("/admin", "/admin/*"):
        house.upstream.respond(path, body=PROTECTED)
    for target in PATHS[name]:
        for suffix in (b"", b"/x"):
            answer = house.get_raw(target + suffix, "Sec-Fetch-Mode: cors")
            assert answer.status in (200, 400, 401, 404), (target, answer.status)
            assert PROTECTED not in answer.body
            assert answer.status != 200 or target.startswith(b"/public/")
    for request in house.upstream.requests:
        for reading in dangerous_readings(request.target):
            assert not reading.lower().startswith("/admin"), (request.target, reading)
            assert not reading.lower().startswith("/auth/"), (request.target, reading)


@pytest.mark.parametrize("name", PATHS)
def test_px_10_a_person_without_the_role_gets_no_further(house: House, name: str) -> None:
    """Bob may open `/` but not `/admin`: no spelling of the one arrives as the other."""
    for path in ("/admin", "/admin/*"):
        house.upstream.respond(path, body=PROTECTED)
    cookie = house.session_cookie(house.sign_in("bob"))
    house.upstream.clear()
    for target in PATHS[name]:
        answer = house.get_raw(target, "Sec-Fetch-Mode: cors", cookie=cookie)
        assert PROTECTED not in answer.body
        assert answer.status in (200, 400, 403, 404)
    for request in house.upstream.requests:
        readings = {reading for reading in dangerous_readings(request.target) if reading == collapsed(reading)}
        exact = {reading for reading in readings if reading == "/admin" or reading.startswith("/admin/")}
        assert not exact or request.path in ("/ADMIN", "/Admin", "/aDMIN/x"), (request.target, exact)


def test_px_10_raw_bytes_are_forwarded_as_they_came(house: House, cookie: str) -> None:
    for target in (b"/page/%41%7e%C3%A4?q=%2f..%2f&r=a+b;c", b"/a%20b", b"/x?" + b"a" * 4_000, b"/page?"):
        assert house.get_raw(target, cookie=cookie).status == 200
        assert house.upstream.last.target == target.removesuffix(b"?")


def test_px_10_an_encoded_path_is_authorized_as_what_it_says(house: House) -> None:
    bob = house.session_cookie(house.sign_in("bob"))
    house.upstream.clear()
    for target in (b"/%61dmin", b"/%61%64%6d%69%6e/x", b"/a%64min/"):
        assert house.get_raw(target, "Sec-Fetch-Mode: cors", cookie=bob).status == 403
        assert house.get_raw(target, "Sec-Fetch-Mode: cors").status == 401
    assert house.upstream.requests == []


ESCAPES = [
    b"/api/../admin",
    b"/api/%2e%2e/admin",
    b"/api/..%2fadmin",
    b"/api//evil.example/",
    b"/api/?url=http://127.0.0.1:{evil}/",
    b"/api/x?host=127.0.0.1:{evil}",
    b"/api/@127.0.0.1:{evil}/",
    b"/api/:{evil}/",
    b"/api/http://127.0.0.1:{evil}/",
]


@pytest.mark.parametrize("target", ESCAPES)
def test_px_11_no_part_of_a_request_moves_the_upstream(
    house: House, cookie: str, evil_server: tuple[socket.socket, int], target: bytes
) -> None:
    listener, port = evil_server
    wire = target.replace(b"{evil}", str(port).encode())
    answer = house.get_raw(wire, SAME_ORIGIN, f"X-Forwarded-Host: 127.0.0.1:{port}", cookie=cookie)
    assert answer.status in (200, 400, 404)
    for request in house.upstream.requests:
        assert request.target == wire.removeprefix(b"/api")
        assert request.header("host") == house.host
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_px_11_redirects_of_an_upstream_are_not_followed(house: House, cookie: str) -> None:
    with RecordingUpstream() as metadata:
        for status in (301, 302, 303, 307, 308):
            house.upstream.respond("/x", status=status, headers={"Location": f"{metadata.url}/latest/meta-data"})
            answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
            assert answer.status == status
        assert metadata.connections == 0


@pytest.mark.parametrize(
    "location", ["{upstream}/x", "{upstream}", "http://localhost:{port}/x", "HTTP://127.0.0.1:{port}/x"]
)
def test_px_11_a_location_with_the_internal_host_is_rewritten(house: House, cookie: str, location: str) -> None:
    text = location.replace("{upstream}", house.upstream.url).replace("{port}", str(house.upstream.port))
    house.upstream.respond("/x", status=302, headers={"Location": text, "Content-Location": text})
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.header("location").startswith("/api")
    assert str(house.upstream.port) not in answer.header("location")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "TRACK", "PRI", "trace", "PROPFIND", "DEBUG", "MOVE"])
def test_px_12_odd_methods_are_refused_or_carry_no_power(house: House, cookie: str, method: str) -> None:
    answer = house.get_raw("/api/x", method=method, cookie=cookie)
    assert answer.status in (400, 403, 405)
    assert house.upstream.requests == []
    assert cookie.encode() not in answer.received


def test_px_12_a_route_lists_its_methods(build_house: Callable[..., House], upstream: RecordingUpstream) -> None:
    route = {"id": "ro", "path": "/", "upstream": upstream.url, "kind": "page", "auth": "public", "methods": ["GET"]}
    house = build_house(routes=[route])
    assert [house.get_raw("/x", method=method).status for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS")] == [
        200,
        200,
        405,
        405,
        405,
    ]


UPGRADES = ["h2c", "websocket, h2c", "h2c, websocket", "TLS/1.0", "websocket\r\nUpgrade: h2c", "foo"]


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("path", ["/api/x", "/page", "/public/x"])
def test_px_12_no_upgrade_but_a_websocket_gets_anywhere(house: House, cookie: str, upgrade: str, path: str) -> None:
    lines = f"Host: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n"
    lines += (
        f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    )
    received = house.raw(f"GET {path} HTTP/1.1\r\n{lines}".encode() + SMUGGLED, timeout=1)
    assert b" 101 " not in received
    for request in house.upstream.requests:
        assert request.values("upgrade") == []
        assert request.values("http2-settings") == []
    assert len(house.upstream.requests_to("/public/smuggled")) == 0 or b"h2c" not in received


RAW_RESPONSES: dict[str, bytes] = {
    "line break in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "space in a name": b"HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "status 99": b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
    "status 700": b"HTTP/1.1 700 X\r\nContent-Length: 0\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw tunnel",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nX: ",
    "head of 100 KB": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    "5,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X: aaaaaaaaaaaaa\r\n" * 5_000 + b"\r\n",
    "Location with a line break": b"HTTP/1.1 302 X\r\nLocation: /a\x01b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("case", RAW_RESPONSES)
def test_px_13_a_response_that_is_none_is_a_502(house: House, cookie: str, case: str) -> None:
    house.upstream.respond("/x", raw=RAW_RESPONSES[case], close=True)
    noted = len(house.refusals())
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == 502
    assert answer.header("content-type") == "application/problem+json"
    assert b"raw tunnel" not in answer.received
    assert house.upstream.url.encode() not in answer.received
    assert [event["event"] for event in house.refusals()[noted:]] == ["upstream_failed"]


CUT_BODIES: dict[str, bytes] = {
    "shorter than told": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "chunked without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "chunk cut": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
    "chunk size broken": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
}


@pytest.mark.parametrize("case", CUT_BODIES)
def test_px_13_a_body_that_is_not_whole_never_ends_cleanly(house: House, cookie: str, case: str) -> None:
    house.upstream.respond("/x", raw=CUT_BODIES[case], close=True)
    request = f"GET /api/x HTTP/1.1\r\nHost: {house.host}\r\nCookie: vestibule={cookie}\r\n{SAME_ORIGIN}\r\n\r\n"
    received = house.raw(request.encode(), timeout=3)
    assert b"0\r\n\r\n" not in received.partition(b"\r\n\r\n")[2]
    if b"content-length: 10" in received.lower():
        assert len(received.partition(b"\r\n\r\n")[2]) < 10


def test_px_13_bytes_behind_a_response_are_nobodys_answer(house: House, cookie: str) -> None:
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
    house.upstream.respond("/x", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + poison, times=1)
    first = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert first.body == b"ok"
    for _ in range(3):
        assert b"poison" not in house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie).received


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (204, b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison"),
        (304, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n"),
        (200, b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (200, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ],
)
def test_px_13_answers_without_body_are_framed_right(house: House, cookie: str, status: int, raw: bytes) -> None:
    house.upstream.respond("/x", raw=raw, times=1)
    answer = house.get_raw("/api/x", SAME_ORIGIN, cookie=cookie)
    assert answer.status == status
    assert answer.body == (b"ok" if status == 200 else b"")
    assert count_answers(answer.received) == 1
    assert house.get_raw("/api/y", SAME_ORIGIN, cookie=cookie).status == 200


def test_px_13_a_head_request_has_no_body(house: House, cookie: str) -> None:
    house.upstream.respond("/x", body=b"hello")
    answer = house.get_raw("/api/x", SAME_ORIGIN, method="HEAD", cookie=cookie)
    assert (answer.status, answer.header("content-length"), answer.body) == (200, "5", b"")


def test_px_7_parallel_connections_do_not_share_a_parser(house: House) -> None:
    """Half a request on one connection is not completed by bytes of another."""
    results: list[int] = []

    def half(first: bytes, second: bytes) -> None:
        results.append(RawAnswer.parse(house.raw(first, second, pause=0.1)).status)

    head = b"GET /public/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n".replace(b"{host}", house.host.encode())
    threads = [threading.Thread(target=half, args=(head + b"X-Part: ", b"%d\r\n\r\n" % number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [200] * 8
    assert sorted(request.header("x-part") or "" for request in house.upstream.requests) == [str(n) for n in range(8)]
