"""PX: which host, path and method a request may have, and which upstream it can reach."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from urllib.parse import unquote

import pytest

from tests.fakes import RecordingUpstream
from tests.payloads.requests import PATHS
from tests.security.house import House
from tests.security.raw import SAME_ORIGIN, SMUGGLED, RawAnswer
from tests.security.rejection import assert_rejected


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
def test_px_9_a_target_must_be_a_path_of_this_host(
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


def test_px_9_an_absolute_target_of_this_host_is_used_as_its_path(house: House, cookie: str) -> None:
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
def test_px_9_the_host_must_be_a_configured_one(house: House, cookie: str, case: str, path: bytes) -> None:
    lines = HOSTS[case].replace(b"{port}", str(house.door.port).encode())
    request = b"GET " + path + b" HTTP/1.1\r\n" + lines + b"Connection: close\r\nCookie: vestibule=" + cookie.encode()

    def attack() -> RawAnswer:
        return RawAnswer.parse(house.raw(request + b"\r\n\r\n"))

    answer = assert_rejected(house, attack, statuses=[400, 421])
    assert not answer.all("location")


PROTECTED = b"what only an administrator may read"


def dangerous_readings(target: bytes) -> set[str]:
    """Paths that some servers would read from this target."""
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
def test_px_10_no_spelling_of_a_path_reaches_a_route_without_its_access_rules(house: House, name: str) -> None:
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
def test_px_10_no_spelling_of_a_path_lets_a_person_without_the_role_in(house: House, name: str) -> None:
    """Bob may open `/` but not `/admin`. No spelling of one arrives as the other."""
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


def test_px_10_the_raw_bytes_of_a_path_are_passed_on_unchanged(house: House, cookie: str) -> None:
    for target in (b"/page/%41%7e%C3%A4?q=%2f..%2f&r=a+b;c", b"/a%20b", b"/x?" + b"a" * 4_000, b"/page?"):
        assert house.get_raw(target, cookie=cookie).status == 200
        assert house.upstream.last.target == target.removesuffix(b"?")


def test_px_10_an_encoded_path_is_authorized_in_its_decoded_form(house: House) -> None:
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
def test_px_11_no_part_of_a_request_changes_the_upstream_address(
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
def test_px_12_unusual_methods_are_refused_before_the_upstream(house: House, cookie: str, method: str) -> None:
    answer = house.get_raw("/api/x", method=method, cookie=cookie)
    assert answer.status in (400, 403, 405)
    assert house.upstream.requests == []
    assert cookie.encode() not in answer.received


def test_px_12_a_route_accepts_only_its_listed_methods(
    build_house: Callable[..., House], upstream: RecordingUpstream
) -> None:
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
def test_px_12_only_a_websocket_upgrade_is_passed_on(house: House, cookie: str, upgrade: str, path: str) -> None:
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
