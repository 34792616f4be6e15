"""PX-7 for clients that speak HTTP/1.0: no chunks (RFC 9112 section 6.1), and no cut answer that looks whole."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.security.certificates import Authority
from tests.security.house import House, attack_routes, open_house
from tests.security.nginx import running_nginx
from tests.security.raw import RawAnswer, connect, read_all

FIRST, SECOND = b"first part, ", b"second part"
WHOLE = FIRST + SECOND
PARTS: list[bytes | str | float] = [FIRST, 0.05, SECOND]
DEFAULT_NGINX = """
  server {{{{
    listen 127.0.0.1:{{port}};
    location / {{{{ proxy_pass http://127.0.0.1:{door}; proxy_set_header Host $http_host; }}}}
  }}}}
"""


@pytest.fixture(scope="module")
def nginx(shared_house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """As in Debian, with only the usual directives: it sends HTTP/1.0 requests."""
    with running_nginx(tmp_path_factory.mktemp("nginx"), DEFAULT_NGINX.format(door=shared_house.door.port)) as port:
        yield port


def ask(house: House, path: str, *, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.0\r\nHost: {house.host}\r\nConnection: keep-alive\r\n\r\n".encode()


def answer(house: House, path: str, *, method: str = "GET") -> RawAnswer:
    with connect(house.door.port) as client:
        client.sendall(ask(house, path, method=method))
        return RawAnswer.parse(read_all(client))


def test_px_7_an_answer_without_a_length_to_an_http_1_0_client_closes_the_connection(
    house: House, upstream: RecordingUpstream
) -> None:
    upstream.respond("/public/stream", stream=PARTS, chunked=True)
    got = answer(house, "/public/stream")
    assert (got.status, got.body) == (200, WHOLE)
    assert got.all("transfer-encoding") == got.all("content-length") == []
    assert got.header("connection") == "close"


def test_px_7_an_answer_with_a_length_to_an_http_1_0_client_keeps_the_connection(
    house: House, upstream: RecordingUpstream
) -> None:
    upstream.respond("/public/short", body=b"short")
    got = answer(house, "/public/short")
    assert (got.body, got.all("content-length"), got.all("transfer-encoding")) == (b"short", ["5"], [])


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_px_7_an_answer_without_a_body_to_an_http_1_0_client_has_no_body(
    house: House, upstream: RecordingUpstream, method: str, status: int
) -> None:
    upstream.respond("/public/empty", status=status, stream=PARTS if status == 200 else None, chunked=status == 200)
    got = answer(house, "/public/empty", method=method)
    assert (got.status, got.body, got.all("transfer-encoding")) == (status, b"", [])


def test_px_7_an_http_1_1_client_still_gets_chunks(house: House, upstream: RecordingUpstream) -> None:
    upstream.respond("/public/stream", stream=PARTS, chunked=True)
    got = RawAnswer.parse(house.raw(house.request("/public/stream", "Connection: close")))
    assert got.all("transfer-encoding") == ["chunked"]


def cut(upstream: RecordingUpstream) -> None:
    upstream.respond("/public/cut", stream=PARTS, chunked=True, close_after=len(FIRST))


def test_px_7_an_incomplete_answer_does_not_look_complete(house: House, upstream: RecordingUpstream) -> None:
    cut(upstream)
    with connect(house.door.port) as client:
        client.sendall(ask(house, "/public/cut"))
        with pytest.raises(ConnectionResetError):
            read_to_the_end(client)


def test_px_7_an_incomplete_answer_does_not_look_complete_with_tls(
    shared_provider: FakeProvider, shared_upstream: RecordingUpstream, authority: Authority
) -> None:
    certificate, key = authority.issue("localhost")
    tls = {"certificate_file": str(certificate), "key_file": str(key)}
    routes = attack_routes(shared_upstream)
    with open_house(shared_provider, shared_upstream, routes=routes, server={"tls": tls}) as house:
        cut(shared_upstream)
        context = ssl.create_default_context(cafile=authority.ca_file)
        plain = connect(house.door.port)
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as client:
            client.sendall(ask(house, "/public/cut"))
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                read_to_the_end(client)


def read_to_the_end(client: socket.socket) -> bytes:
    received = b""
    while chunk := client.recv(65_536):
        received += chunk
    return received


def test_px_7_nginx_with_default_settings_passes_a_stream_on(
    house: House, nginx: int, upstream: RecordingUpstream
) -> None:
    upstream.respond("/public/stream", stream=PARTS, chunked=True)
    response = httpx.get(f"http://127.0.0.1:{nginx}/public/stream", headers={"Host": house.host})
    assert (response.status_code, response.content) == (200, WHOLE)


def test_px_7_nginx_with_default_settings_passes_an_incomplete_answer_on_as_incomplete(
    house: House, nginx: int, upstream: RecordingUpstream
) -> None:
    cut(upstream)
    try:
        response = httpx.get(f"http://127.0.0.1:{nginx}/public/cut", headers={"Host": house.host})
    except httpx.RemoteProtocolError:
        return  # its chunks had no end
    assert response.status_code == 502
