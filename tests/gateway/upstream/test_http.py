"""`HttpUpstream` against real sockets: pool, framing on the wire, time-outs, retries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bff.errors import BadRequest, UpstreamFailed
from gateway.upstream.http import HttpUpstream, build_request_head
from gateway.upstream.messages import UpstreamRequest
from tests.fakes.replies import HANG
from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.http_calls import client, code_of, get, pieces, post, read_all

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def raw_server(handler: Handler) -> AsyncIterator[str]:
    """A server that does what `handler(reader, writer, number of the connection)` does."""
    connections: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            await handler(reader, writer, number)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # The other side left. Several of these tests are about this.
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append((asyncio.create_task(serve(reader, writer, len(connections) + 1)), writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task, writer in connections:
            task.cancel()
            writer.close()
        await asyncio.gather(*(task for task, _ in connections), return_exceptions=True)
        await asyncio.gather(*(writer.wait_closed() for _, writer in connections), return_exceptions=True)


async def test_the_target_and_headers_go_on_the_wire_exactly_as_given(upstream: RecordingUpstream) -> None:
    async with client(upstream.url) as http:
        await read_all(http, get(b"/a%2e%7eb%20c?x=%2F&y", headers=[(b"host", b"apps.example.com"), (b"x-a", b"\xe9")]))
    assert upstream.last.head == (b"GET /a%2e%7eb%20c?x=%2F&y HTTP/1.1\r\nhost: apps.example.com\r\nx-a: \xe9\r\n\r\n")


async def test_the_base_path_of_the_upstream_comes_before_the_request_path(upstream: RecordingUpstream) -> None:
    async with client(upstream.url + "/base") as http:
        await read_all(http, get(b"/x?y"))
    assert upstream.last.target == b"/base/x?y"


async def test_one_connection_serves_many_requests_one_after_the_other(upstream: RecordingUpstream) -> None:
    async with client(upstream.url) as http:
        for _ in range(20):
            await read_all(http, get())
        assert http.pool.idle_connections == 1
    assert upstream.connections == 1


async def test_each_parallel_request_gets_its_own_connection_up_to_the_limit(upstream: RecordingUpstream) -> None:
    upstream.respond("/slow", body="x", delay=0.05)
    async with client(upstream.url, max_connections=3) as http:
        await asyncio.gather(*(read_all(http, get(b"/slow")) for _ in range(9)))
        assert http.pool.open_connections == 3
    assert upstream.connections == 3


async def test_waiting_for_a_connection_ends_with_503_when_all_stay_busy(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", stream=[b"x", HANG], chunked=True)
    async with client(upstream.url, max_connections=1, connect_timeout=0.2) as http:
        first = await http.send(get(b"/hang"))
        with pytest.raises(UpstreamFailed) as caught:
            await http.send(get())
        assert (caught.value.code, caught.value.status) == ("upstream_connect", 503)
        first.close()
        assert await read_all(http, get()) != (0, b"")


async def test_a_cancelled_waiter_gives_its_turn_to_the_next(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", stream=[b"x", HANG], chunked=True)
    async with client(upstream.url, max_connections=1) as http:
        first = await http.send(get(b"/hang"))
        waiting = [asyncio.create_task(read_all(http, get())) for _ in range(3)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()
        first.close()
        waiting[1].cancel()
        status, _ = await asyncio.wait_for(waiting[2], 3)
        assert status == 200
        assert http.pool.open_connections == 1


@pytest.mark.parametrize(("length", "framing"), [(5, b"content-length: 5"), (None, b"transfer-encoding: chunked")])
async def test_a_body_is_sent_with_exactly_one_framing_header(
    upstream: RecordingUpstream, length: int | None, framing: bytes
) -> None:
    async with client(upstream.url) as http:
        await read_all(http, post(pieces(b"he", b"", b"llo"), length=length))
    assert upstream.last.body == b"hello"
    assert upstream.last.head.count(b"content-length") + upstream.last.head.count(b"transfer-encoding") == 1
    assert framing in upstream.last.head


def test_framing_headers_of_the_caller_are_replaced() -> None:
    headers = [(b"content-length", b"9"), (b"transfer-encoding", b"gzip"), (b"connection", b"close"), (b"te", b"x")]
    head = build_request_head(get(headers=headers), b"", b"up:1")
    assert head == b"GET / HTTP/1.1\r\nhost: up:1\r\n\r\n"
    assert b"content-length: 0\r\n" in build_request_head(get(method="POST"), b"", b"up:1")


@pytest.mark.parametrize(
    "request_",
    [
        get(b"http://evil.example/"),
        get(b"@evil.example/"),
        get(b"/a b"),
        get(b"/a\r\nX: 1"),
        get(b"*"),
        get(b"/\xff"),
        get(method="GET / HTTP/1.1\r\nX: 1"),
        get(method=""),
        get(headers=[(b"x", b"1\r\ny: 2")]),
        get(headers=[(b"x\r\ny", b"1")]),
        get(headers=[(b"x", b"1\n2")]),
        get(headers=[(b"x", b"1\0")]),
    ],
    ids=[
        "an absolute target",
        "a target that begins with @",
        "a space in the target",
        "a line end in the target",
        "an asterisk as the target",
        "a target outside ASCII",
        "a line end in the method",
        "an empty method",
        "a line end in a value",
        "a line end in a name",
        "a line feed in a value",
        "a NUL in a value",
    ],
)
def test_no_part_of_a_request_can_change_other_parts_of_it(request_: UpstreamRequest) -> None:
    with pytest.raises(BadRequest):
        build_request_head(request_, b"", b"up")


@pytest.mark.parametrize("parts", [(b"hell",), (b"hello", b"!")])
async def test_a_body_with_another_length_than_announced_is_never_sent_as_a_complete_request(
    upstream: RecordingUpstream, parts: tuple[bytes, ...]
) -> None:
    async with client(upstream.url) as http:
        assert await code_of(http, post(pieces(*parts), length=5)) == "body_length"
        assert http.pool.open_connections == 0
    await asyncio.to_thread(upstream.wait_for, lambda it: bool(it.requests))
    assert len(upstream.last.body) <= 5
    assert not upstream.last.complete or upstream.last.body == b"hello"


async def test_an_early_answer_arrives_while_the_body_is_still_being_sent(upstream: RecordingUpstream) -> None:
    upstream.respond("/upload", status=413, body="too much", before_body=True, close=True)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0.001)

    async with client(upstream.url) as http:
        assert await asyncio.wait_for(read_all(http, post(endless(), path=b"/upload")), 5) == (413, b"too much")
        assert http.pool.open_connections == 0


async def test_a_connection_whose_request_was_not_sent_completely_is_not_used_again() -> None:
    async def answer_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    async with raw_server(answer_early) as url, client(url) as http:
        assert await read_all(http, post(slow())) == (200, b"ok")
        assert http.pool.idle_connections == 0
        assert await read_all(http, get()) == (200, b"ok")


async def test_an_error_while_reading_the_body_is_raised_from_the_exchange(upstream: RecordingUpstream) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise BadRequest("body_too_large", status=413)

    async with client(upstream.url) as http:
        assert await code_of(http, post(broken())) == "body_too_large"
        assert http.pool.open_connections == 0
    await asyncio.to_thread(upstream.wait_for, lambda it: bool(it.requests))
    assert not upstream.last.complete


async def test_a_safe_request_on_a_stale_connection_is_sent_once_more() -> None:
    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        assert number == 1  # The second request on the first connection is read and never answered.

    async with raw_server(one_each) as url, client(url) as http:
        assert await read_all(http, get()) == (200, b"ok")
        assert await read_all(http, get()) == (200, b"ok")


@pytest.mark.parametrize("request_", [get(method="POST"), get(method="DELETE")], ids=lambda each: each.method)
async def test_an_unsafe_request_on_a_stale_connection_is_not_repeated(request_: UpstreamRequest) -> None:
    seen = 0

    async def close_on_second(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")
        seen += 1

    async with raw_server(close_on_second) as url, client(url) as http:
        assert await read_all(http, get()) == (200, b"ok")
        assert await code_of(http, request_) == "upstream_closed"
    assert seen == 1


async def test_a_request_on_a_new_connection_that_closes_is_not_repeated() -> None:
    connections = 0

    async def close(reader: asyncio.StreamReader, _: asyncio.StreamWriter, number: int) -> None:
        nonlocal connections
        connections = number
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(close) as url, client(url) as http:
        assert await code_of(http, get()) == "upstream_closed"
    assert connections == 1


async def test_unexpected_bytes_of_an_upstream_never_become_the_next_answer() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        if number == 1:
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        await asyncio.sleep(0.3)

    async with raw_server(chatty) as url, client(url) as http:
        assert await read_all(http, get()) == (200, b"ok")
        await asyncio.sleep(0.1)
        assert http.pool.idle_connections == 0
        assert await read_all(http, get()) == (200, b"ok")


async def test_many_aborted_requests_never_mix_answers(upstream: RecordingUpstream) -> None:
    async with client(upstream.url, max_connections=20) as http:

        async def one(number: int) -> None:
            path = b"/n/%d" % number
            try:
                async with asyncio.timeout(0.0005 * (number % 7) if number % 3 else 5):
                    _, body = await read_all(http, get(path))
            except TimeoutError:
                return
            assert b'"target": "%s"' % path in body

        for start in range(0, 1000, 50):
            await asyncio.gather(*(one(start + offset) for offset in range(50)))
        assert http.pool.open_connections <= 20
        await read_all(http, get())
    await asyncio.to_thread(upstream.wait_for, lambda it: it.connections_open == 0)


async def test_no_cookie_is_kept_and_no_redirect_followed_between_requests(upstream: RecordingUpstream) -> None:
    upstream.respond("/login", headers=[("Set-Cookie", "sid=alice; Path=/")], status=302)
    async with client(upstream.url) as http:
        assert (await read_all(http, get(b"/login")))[0] == 302
        await read_all(http, get(b"/other"))
    assert upstream.last.header("cookie") is None
    assert [request.path for request in upstream.requests] == ["/login", "/other"]


async def test_after_the_pool_is_closed_nothing_is_sent(upstream: RecordingUpstream) -> None:
    http = HttpUpstream(upstream.url)
    await read_all(http, get())
    await http.aclose()
    assert http.pool.open_connections == 0
    with pytest.raises(UpstreamFailed):
        await http.send(get())
