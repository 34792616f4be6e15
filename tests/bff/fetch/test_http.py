"""Calls to providers over real sockets: limited in time and size, and sent only to the address that is given."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.errors import ProviderUnavailable
from bff.fetch.http import MAX_BODY, Answer, build_http_client, call_provider
from bff.provider.client import http_client_for
from tests.bff.factories import provider_settings
from tests.fakes import FakeProvider, bind_socket
from tests.security.certificates import make_authority


@pytest.fixture(scope="module")
def running() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def provider(running: FakeProvider) -> FakeProvider:
    running.bend.reset()
    running.clear_hits()
    return running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client_for(provider_settings(http_timeout_seconds=5)) as client:
        yield client


async def call(http: httpx.AsyncClient, provider: FakeProvider, *, deadline: float = 5, **over: Any) -> Answer:
    return await call_provider(http, over.pop("method", "GET"), provider.url + "/jwks", deadline=deadline, **over)


async def code_of(http: httpx.AsyncClient, provider: FakeProvider, **over: Any) -> str:
    with pytest.raises(ProviderUnavailable) as failed:
        await call(http, provider, **over)
    assert failed.value.status == 503
    return failed.value.code


async def test_an_answer_has_its_status_type_and_body(http: httpx.AsyncClient, provider: FakeProvider) -> None:
    answer = await call(http, provider)
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert answer.body.startswith(b'{"keys":')
    assert "keys" not in repr(answer)


async def test_a_4xx_answer_is_returned_and_not_raised(http: httpx.AsyncClient, provider: FakeProvider) -> None:
    provider.bend.jwks.raw(404, body="no")
    assert (await call(http, provider)).status == 404


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(http: httpx.AsyncClient, provider: FakeProvider, status: int) -> None:
    provider.bend.jwks.raw(status, headers={"location": provider.url + "/userinfo"})
    assert await code_of(http, provider) == "provider_redirect"
    assert [hit.endpoint for hit in provider.hits] == ["jwks"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
async def test_a_provider_that_answers_with_a_server_error_is_unavailable(
    http: httpx.AsyncClient, provider: FakeProvider, status: int
) -> None:
    provider.bend.jwks.raw(status, json={"error": "invalid_grant"})
    assert await code_of(http, provider) == "provider_error"


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
    ],
)
async def test_a_provider_that_sends_a_broken_answer_is_unavailable(
    http: httpx.AsyncClient, provider: FakeProvider, wire: bytes
) -> None:
    provider.bend.jwks.wire(wire)
    assert await code_of(http, provider) == "provider_unreachable"


async def test_a_body_at_the_limit_is_read_and_a_larger_one_is_not(
    http: httpx.AsyncClient, provider: FakeProvider
) -> None:
    provider.bend.jwks.raw(body=b"x" * MAX_BODY, times=1)
    assert len((await call(http, provider)).body) == MAX_BODY
    provider.bend.jwks.raw(body=b"x" * (MAX_BODY + 1))
    assert await code_of(http, provider) == "provider_too_large"


async def test_a_compressed_body_is_not_unpacked(http: httpx.AsyncClient, provider: FakeProvider) -> None:
    bomb = gzip.compress(b"\x00" * 5_000_000)
    provider.bend.jwks.raw(headers={"content-encoding": "gzip"}, body=bomb)
    assert await code_of(http, provider) == "provider_too_large"
    provider.bend.reset()
    provider.bend.jwks.raw(headers={"content-encoding": "Identity"}, body=b"{}")
    assert (await call(http, provider)).body == b"{}"


async def test_a_call_with_a_very_slow_answer_ends_at_the_deadline(
    http: httpx.AsyncClient, provider: FakeProvider
) -> None:
    """Each byte comes in time, but the whole answer does not."""
    provider.bend.jwks.drip(chunk=1, every=0.03)
    before = time.monotonic()
    assert await code_of(http, provider, deadline=0.3) == "provider_timeout"
    assert time.monotonic() - before < 8, "the answer takes twelve seconds"


async def test_a_call_to_a_silent_provider_ends_at_the_deadline(
    http: httpx.AsyncClient, provider: FakeProvider
) -> None:
    with provider.bend.jwks.hold():
        assert await code_of(http, provider, deadline=0.2) == "provider_timeout"


async def test_a_timeout_of_the_http_client_is_reported_as_a_provider_timeout(provider: FakeProvider) -> None:
    async with http_client_for(provider_settings(http_timeout_seconds=0.2)) as http:
        with provider.bend.jwks.hold():
            assert await code_of(http, provider) == "provider_timeout"


async def test_an_address_where_nothing_listens_is_unreachable(http: httpx.AsyncClient) -> None:
    with bind_socket("127.0.0.1") as bound:
        port = bound.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/", "http://nobody.invalid/", "http://[bad/", "ftp://127.0.0.1/"):
            with pytest.raises(ProviderUnavailable) as failed:
                await call_provider(http, "GET", url, deadline=5)
            assert failed.value.code == "provider_unreachable", url


async def test_a_cancelled_call_is_not_reported_as_an_outage(http: httpx.AsyncClient, provider: FakeProvider) -> None:
    with provider.bend.jwks.hold():
        waiting = asyncio.create_task(call(http, provider))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_a_form_is_posted_unchanged(http: httpx.AsyncClient, provider: FakeProvider) -> None:
    await call_provider(
        http, "POST", provider.url + "/token", deadline=5, form={"a": "b&c=ü +"}, headers={"Authorization": "Basic x"}
    )
    (hit,) = provider.hits
    assert (hit.form["a"], hit.headers["authorization"]) == ("b&c=ü +", "Basic x")


class TestTheClient:
    async def test_the_client_remembers_no_cookies(self, http: httpx.AsyncClient, provider: FakeProvider) -> None:
        provider.bend.jwks.raw(headers={"set-cookie": "sticky=1; Path=/"})
        for _ in range(2):
            await call(http, provider)
        assert "cookie" not in provider.hits[-1].headers

    async def test_the_client_ignores_proxies_from_the_environment(
        self, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with http_client_for(provider_settings()) as http:
            assert (await call(http, provider)).status == 200

    @pytest.mark.parametrize("kind", ["provider", "api"])
    async def test_the_client_does_not_ask_for_an_encoding_that_it_would_refuse(
        self, provider: FakeProvider, kind: str
    ) -> None:
        async with http_client_for(provider_settings()) if kind == "provider" else build_http_client(5) as http:
            await call(http, provider)
        (hit,) = provider.hits
        assert hit.headers["accept-encoding"] == "identity"

    async def test_the_client_does_not_trust_a_self_signed_certificate(self, tmp_path: Path) -> None:
        authority = make_authority(tmp_path)
        with FakeProvider(tls=authority.issue("127.0.0.1")) as provider:
            async with http_client_for(provider_settings()) as http:
                assert await code_of(http, provider) == "provider_unreachable"
            async with http_client_for(provider_settings(ca_file=str(authority.ca_file))) as http:
                assert (await call(http, provider)).status == 200
            assert len(provider.hits) == 1

    async def test_the_client_does_not_trust_a_certificate_of_another_host(self, tmp_path: Path) -> None:
        authority = make_authority(tmp_path)
        with FakeProvider(tls=authority.issue("idp.example.com")) as provider:
            async with http_client_for(provider_settings(ca_file=str(authority.ca_file))) as http:
                assert await code_of(http, provider) == "provider_unreachable"
            assert provider.hits == []
