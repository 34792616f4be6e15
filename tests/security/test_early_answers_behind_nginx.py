"""PX-7 behind a real nginx that keeps connections to the door and does not hold bodies back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import api_route
from tests.security.certificates import Authority
from tests.security.house import House, attack_routes, open_house
from tests.security.nginx import running_nginx
from tests.security.raw import RawAnswer, connect, read_all

BLOCKS = """
  upstream door {{{{ server 127.0.0.1:{door}; keepalive 4; }}}}
  server {{{{
    listen 127.0.0.1:{{port}};
    client_max_body_size 0;
    location / {{{{
      proxy_pass {scheme}://door;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
    }}}}
  }}}}
"""
EARLY = {
    "401": (b"POST /api/x", 401),
    "413": (b"POST /small/x", 413),
    "413 of the upstream": (b"POST /public/hasty", 413),
}


@pytest.fixture(scope="module", params=["plain", "TLS"])
def house(
    request: pytest.FixtureRequest,
    shared_provider: FakeProvider,
    shared_upstream: RecordingUpstream,
    authority: Authority,
) -> Iterator[House]:
    routes = [
        *attack_routes(shared_upstream),
        api_route(shared_upstream, id="small", path="/small/", auth="public", max_body_bytes=10),
    ]
    server: dict[str, object] = {}
    if request.param == "TLS":
        certificate, key = authority.issue("localhost")
        server["tls"] = {"certificate_file": str(certificate), "key_file": str(key)}
    with open_house(shared_provider, shared_upstream, routes=routes, server=server) as opened:
        yield opened


@pytest.fixture(scope="module")
def nginx(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    scheme = "https" if house.door.settings.server.tls.certificate_file else "http"
    with running_nginx(tmp_path_factory.mktemp("nginx"), BLOCKS.format(door=house.door.port, scheme=scheme)) as port:
        yield port


def post(house: House, line: bytes, size: int) -> bytes:
    return line + f" HTTP/1.1\r\nHost: {house.host}\r\nContent-Length: {size}\r\n\r\n".encode()


def upload(port: int, head: bytes, body: bytes) -> RawAnswer:
    """Send and read at the same time, as browsers and curl do."""
    with connect(port, timeout=10) as client:

        def send() -> None:
            with suppress(OSError):
                client.sendall(head + body)

        sending = threading.Thread(target=send)
        sending.start()
        received = b""
        with suppress(ConnectionError):
            while b"\r\n\r\n" not in received and (chunk := client.recv(65_536)):
                received += chunk
        client.close()
        sending.join(10)
    return RawAnswer.parse(received)


@pytest.mark.parametrize("size", [100, 100_000, 3_000_000])
@pytest.mark.parametrize("case", EARLY)
def test_px_7_nginx_passes_an_early_answer_on(
    house: House, nginx: int, upstream: RecordingUpstream, case: str, size: int
) -> None:
    upstream.respond("/public/hasty", status=413, body="no", before_body=True, close=True)
    line, status = EARLY[case]
    answers = [upload(nginx, post(house, line, size), b"a" * size) for _ in range(10)]
    assert [answer.status for answer in answers] == [status] * 10


def test_px_7_requests_that_share_nginx_connections_with_refused_uploads_get_their_own_answers(
    house: House, nginx: int, upstream: RecordingUpstream
) -> None:
    """Refused uploads that stop in the middle, and other people's requests over the same few connections."""
    hidden = house.request("/public/smuggled")

    def attack(number: int) -> None:
        with connect(nginx) as client:
            client.sendall(post(house, b"POST /api/x", 300 + number) + hidden[: number * 10 % len(hidden)])
            with suppress(OSError):
                client.recv(4096)

    def innocent(number: int) -> RawAnswer:
        body = f"mine-{number}".encode() + hidden
        head = house.request(f"/public/{number}", f"Content-Length: {len(body)}", method="POST")
        with connect(nginx) as client:
            client.sendall(head + body)
            return RawAnswer.parse(read_all(client))

    with ThreadPoolExecutor(6) as several:
        attacks = [several.submit(attack, number) for number in range(40)]
        answers = list(several.map(innocent, range(60)))
        for each in attacks:
            each.result()
    assert [answer.status for answer in answers] == [200] * 60
    seen = {request.path: request.body for request in upstream.requests}
    assert seen == {f"/public/{number}": f"mine-{number}".encode() + hidden for number in range(60)}
    assert upstream.malformed == []
