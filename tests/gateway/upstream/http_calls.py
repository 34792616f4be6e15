"""Requests to an upstream, and their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bff.errors import AuthError
from gateway.headers.request import RawHeaders
from gateway.upstream.http import HttpUpstream
from gateway.upstream.messages import UpstreamRequest


@asynccontextmanager
async def client(target: str, **options: float) -> AsyncIterator[HttpUpstream]:
    http = HttpUpstream(target, **options)  # type: ignore[arg-type]  # loose numbers for the sake of short tests
    try:
        yield http
    finally:
        await http.aclose()


def get(path: bytes = b"/", *, method: str = "GET", headers: RawHeaders | None = None) -> UpstreamRequest:
    return UpstreamRequest(method, path, headers or [(b"host", b"apps.example.com")])


def post(body: AsyncIterator[bytes], *, length: int | None = None, path: bytes = b"/") -> UpstreamRequest:
    return UpstreamRequest("POST", path, [(b"host", b"apps.example.com")], body, length)


async def pieces(*parts: bytes, delay: float = 0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(delay)
        yield part


async def read_all(http: HttpUpstream, request: UpstreamRequest) -> tuple[int, bytes]:
    response = await http.send(request)
    return response.status, b"".join([piece async for piece in response.body])


async def code_of(http: HttpUpstream, request: UpstreamRequest) -> str:
    with pytest.raises(AuthError) as caught:
        await read_all(http, request)
    return caught.value.code
