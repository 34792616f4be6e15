"""The addresses of probes on a running door: unknown without a token; no answer is large, kept or given twice."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bff.errors import StoreUnavailable
from bff.sessions.keyring import Keyring
from bff.stores.memory import MemoryStore
from gateway.probe.answers import MOST_AT_ONCE, MOST_UPLOAD_BYTES
from gateway.probe.token import HEADER, Kind, Probe, sign_probe
from tests.fakes import FakeProvider, RecordingUpstream
from tests.front_door import KEY, RunningDoor, page_route, running_door
from tests.security.raw import RawAnswer, exchange, handshake, open_websocket

KINDS: tuple[Kind, ...] = ("look", "head", "stream", "upload", "quiet")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordingUpstream]:
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def door(upstream: RecordingUpstream) -> Iterator[RunningDoor]:
    routes = [page_route(upstream, auth="public")]
    with FakeProvider() as provider, running_door({"corp": provider}, routes) as running:
        yield running


def token(kind: Kind, *, seconds: int = 0, key: str = KEY, now: float | None = None) -> str:
    probe = Probe(kind, secrets.token_hex(16), seconds)
    return sign_probe(probe, Keyring([key.encode()]), now=time.time() if now is None else now)


def ask(door: RunningDoor, path: str, *lines: str, method: str = "GET", host: str = "", body: bytes = b"") -> RawAnswer:
    head = [f"{method} {path} HTTP/1.1", f"Host: {host or f'localhost:{door.port}'}", "Connection: close", *lines]
    return RawAnswer.parse(exchange(door.port, ("\r\n".join(head) + "\r\n\r\n").encode() + body))


def code(answer: RawAnswer) -> str:
    found: str = json.loads(answer.body)["code"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_token_the_address_is_as_unknown_as_any_other(kind: Kind, door: RunningDoor) -> None:
    unknown, asked = ask(door, "/auth/no-such-address"), ask(door, f"/auth/probe/{kind}")
    assert (asked.status, code(asked)) == (unknown.status, code(unknown)) == (404, "not_found")


BAD: dict[str, list[str]] = {
    "another key": [f"{HEADER}: {token('look', key='k' * 43)}"],
    "too old": [f"{HEADER}: {token('look', now=time.time() - 3600)}"],
    "of the future": [f"{HEADER}: {token('look', now=time.time() + 3600)}"],
    "another kind": [f"{HEADER}: {token('stream')}"],
    "two tokens": [f"{HEADER}: {token('look')}", f"{HEADER}: {token('look')}"],
    "nonsense": [f"{HEADER}: x"],
}


@pytest.mark.parametrize("lines", BAD.values(), ids=BAD)
def test_a_token_that_does_not_hold_opens_nothing(lines: list[str], door: RunningDoor) -> None:
    answer = ask(door, "/auth/probe/look", *lines)
    assert (answer.status, code(answer)) == (404, "not_found")


def test_a_token_in_the_address_opens_nothing(door: RunningDoor) -> None:
    assert ask(door, f"/auth/probe/look?{HEADER}={token('look')}").status == 404


def test_a_token_works_once(door: RunningDoor) -> None:
    line = f"{HEADER}: {token('look')}"
    assert [ask(door, "/auth/probe/look", line).status for _ in range(3)] == [200, 404, 404]


def test_a_look_says_what_arrived_under_any_host_and_no_cache_may_keep_it(door: RunningDoor) -> None:
    answer = ask(
        door,
        "/auth/probe/look",
        f"{HEADER}: {token('look')}",
        "X-Forwarded-For: 203.0.113.99",
        "Remote-User: forged",
        host="elsewhere.example",
    )
    seen = json.loads(answer.body)
    assert answer.status == 200
    assert answer.header("cache-control") == "no-store"
    assert (seen["host"], seen["client"], seen["through_proxy"]) == (["elsewhere.example"], "127.0.0.1", False)
    assert seen["forwarded"] == {"x-forwarded-for": ["203.0.113.99"]}
    assert (seen["identity"], seen["passing"]) == (["remote-user"], {})


def test_a_look_repeats_no_secret_and_stays_small(door: RunningDoor) -> None:
    lines = [f"X-Forwarded-For: {'canary, ' * 900}", "Cookie: a=secret-cookie", "Authorization: Bearer secret-bearer"]
    lines += [f"X-Auth-Request-Canary-{number}: {'x' * 100}" for number in range(60)]
    lines += ["X-Vestibule-Proxy: secret-of-the-proxy"]
    probe = token("look")
    answer = ask(door, "/auth/probe/look", f"{HEADER}: {probe}", *lines)
    assert answer.status == 200
    assert len(answer.received) < 6_000
    for secret in (b"secret-cookie", b"secret-bearer", b"secret-of-the-proxy", probe.encode()):
        assert secret not in answer.received


def test_nothing_of_a_probe_reaches_an_upstream(door: RunningDoor, upstream: RecordingUpstream) -> None:
    before = len(upstream.requests)
    for kind in KINDS:
        assert ask(door, f"/auth/probe/{kind}", f"{HEADER}: {token(kind)}").status == 200
    assert len(upstream.requests) == before
    assert ask(door, "/page", f"{HEADER}: {token('look')}").status == 200
    assert upstream.last.header(HEADER.lower()) is None


def test_an_upload_is_read_to_a_limit_alone(door: RunningDoor) -> None:
    size = 40 * MOST_UPLOAD_BYTES
    lines = [f"{HEADER}: {token('upload')}", f"Content-Length: {size}"]
    answer = ask(door, "/auth/probe/upload", *lines, method="POST", body=b"x" * (MOST_UPLOAD_BYTES + 1))
    assert answer.status == 200
    assert json.loads(answer.body)["bytes"] == MOST_UPLOAD_BYTES + 1


def test_a_small_upload_is_counted(door: RunningDoor) -> None:
    lines = [f"{HEADER}: {token('upload')}", "Content-Length: 5"]
    answer = ask(door, "/auth/probe/upload", *lines, method="POST", body=b"12345")
    assert json.loads(answer.body)["bytes"] == 5


def test_a_socket_opens_with_its_token_alone(door: RunningDoor) -> None:
    host = f"localhost:{door.port}"
    answers = []
    for lines in ((f"{HEADER}: {token('socket')}",), (f"{HEADER}: {token('look')}",), ()):
        answer, client = open_websocket(door.port, handshake("/auth/probe/socket", host, *lines))
        client.close()
        answers.append(answer.status)
    assert answers == [101, 404, 404]


def test_the_token_of_a_socket_gives_no_page_and_that_of_a_page_no_socket(door: RunningDoor) -> None:
    host = f"localhost:{door.port}"
    assert ask(door, "/auth/probe/socket", f"{HEADER}: {token('socket')}").status == 404
    answer, client = open_websocket(door.port, handshake("/auth/probe/look", host, f"{HEADER}: {token('look')}"))
    client.close()
    assert answer.status == 404


def test_few_probes_run_at_once(door: RunningDoor) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_AT_ONCE):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", door.port), 5))
            line = f"{HEADER}: {token('quiet', seconds=20)}"
            client.sendall(f"GET /auth/probe/quiet HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        refused = ask(door, "/auth/probe/look", f"{HEADER}: {token('look')}")
        assert (refused.status, code(refused)) == (503, "probe_limit")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if ask(door, "/auth/probe/look", f"{HEADER}: {token('look')}").status == 200:
            return
        time.sleep(0.05)
    raise AssertionError("clients that went away still count")


class DeadStore(MemoryStore):
    """A store that does not answer when a token is to be used."""

    async def put_once(self, *_: object, **__: object) -> bool:
        raise StoreUnavailable


def test_a_store_that_does_not_answer_refuses_a_token_that_may_have_been_used() -> None:
    with FakeProvider() as provider:
        door = RunningDoor({"corp": provider}, [page_route("http://127.0.0.1:9")], store=DeadStore(clock=time.time))
        try:
            answer = ask(door.start(), "/auth/probe/look", f"{HEADER}: {token('look')}")
        finally:
            door.stop()
    assert (answer.status, code(answer)) == (503, "store_unavailable")
