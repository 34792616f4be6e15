"""HTTP to an upstream that cannot be reached, is slow, or is no longer wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.errors import UpstreamFailed
from tests.fakes.replies import HANG
from tests.fakes.upstream import RecordingUpstream
from tests.gateway.upstream.http_calls import client, code_of, get, pieces, post, read_all


async def test_a_closed_port_gives_a_connection_error(free_port: int) -> None:
    async with client(f"http://127.0.0.1:{free_port}") as http:
        with pytest.raises(UpstreamFailed) as caught:
            await http.send(get())
    assert (caught.value.code, caught.value.status) == ("upstream_connect", 502)


async def test_a_missing_unix_socket_gives_a_connection_error(tmp_path: Path) -> None:
    async with client(f"unix:{tmp_path}/none.sock") as http:
        assert await code_of(http, get()) == "upstream_connect"


async def test_an_upstream_at_a_unix_socket_answers(tmp_path: Path) -> None:
    with RecordingUpstream(unix=tmp_path / "app.sock") as upstream:
        async with client(upstream.url) as http:
            assert (await read_all(http, get(b"/x")))[0] == 200
        assert upstream.last.target == b"/x"


async def test_an_upstream_that_does_not_answer_before_the_timeout_gives_504(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", body="x", delay=HANG)
    async with client(upstream.url, first_byte_timeout=0.1) as http:
        with pytest.raises(UpstreamFailed) as caught:
            await http.send(get(b"/hang"))
        assert (caught.value.code, caught.value.status) == ("upstream_timeout", 504)
        assert http.pool.open_connections == 0


async def test_the_timeout_for_the_first_byte_starts_at_the_end_of_the_request(upstream: RecordingUpstream) -> None:
    async with client(upstream.url, first_byte_timeout=0.2) as http:
        status, _ = await read_all(http, post(pieces(b"a", b"b", b"c", b"d", delay=0.1), length=4))
        assert status == 200
        upstream.respond("/hang", body="x", delay=HANG)
        assert await code_of(http, post(pieces(b"a", b"b", delay=0.1), path=b"/hang")) == "upstream_timeout"


async def test_a_response_body_that_stalls_is_cut_after_the_idle_timeout(upstream: RecordingUpstream) -> None:
    upstream.respond("/stall", stream=[b"one", 0.05, b"two", HANG], chunked=True)
    async with client(upstream.url, idle_timeout=0.2) as http:
        response = await http.send(get(b"/stall"))
        assert await response.read() == b"one"
        assert await response.read() == b"two"
        with pytest.raises(UpstreamFailed) as caught:
            await response.read()
        assert caught.value.code == "upstream_timeout"
        response.close()


async def test_a_slow_reader_does_not_trigger_the_idle_timeout(upstream: RecordingUpstream) -> None:
    upstream.respond("/big", size=4_000_000)
    async with client(upstream.url, idle_timeout=0.2) as http:
        response = await http.send(get(b"/big"))
        await asyncio.sleep(0.5)
        assert len(b"".join([piece async for piece in response.body])) == 4_000_000


async def test_an_upstream_that_stops_reading_the_body_gives_a_timeout(upstream: RecordingUpstream) -> None:
    upstream.respond("/slow", body="x", read_rate=1.0)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 262_144

    async with client(upstream.url, idle_timeout=0.3) as http:
        assert await asyncio.wait_for(code_of(http, post(endless(), path=b"/slow")), 10) == "upstream_timeout"


async def test_a_response_that_is_not_read_to_the_end_closes_its_connection(upstream: RecordingUpstream) -> None:
    upstream.respond("/endless", stream=[b"x", HANG], chunked=True)
    async with client(upstream.url) as http:
        response = await http.send(get(b"/endless"))
        await response.aclose()
        await response.aclose()
        await asyncio.to_thread(upstream.wait_for, lambda it: it.aborted == ["/endless"])
        assert http.pool.open_connections == 0


async def test_a_cancelled_request_leaves_no_connection_open(upstream: RecordingUpstream) -> None:
    upstream.respond("/hang", body="x", delay=HANG)
    async with client(upstream.url) as http:
        task = asyncio.create_task(http.send(get(b"/hang")))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert http.pool.open_connections == 0
        assert (await read_all(http, get()))[0] == 200
