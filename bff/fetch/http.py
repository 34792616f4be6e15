"""HTTP calls to providers: limited in size and time, without redirects, cookies or proxies from the environment."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from bff.errors import ProviderUnavailable

MAX_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of at most `MAX_BODY` bytes. For 5xx and 429, `ProviderUnavailable` is raised instead."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


def build_http_client(timeout: float, *, ca_file: str = "") -> httpx.AsyncClient:
    """Make a client that keeps no cookies. `timeout` is seconds; `ca_file` replaces the system's trust store."""
    return httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=ca_file or None),
        timeout=timeout,
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "vestibule"},
    )


async def call_provider(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    deadline: float,
    form: Mapping[str, str] | None = None,
    json: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one call and return its whole answer within `deadline` seconds.

    Raises:
        ProviderUnavailable: `provider_timeout`, `provider_unreachable`, `provider_error` (5xx, 429),
            `provider_redirect`, `provider_too_large`.
    """
    try:
        async with asyncio.timeout(deadline):
            return await _call(http, method, url, form=form, json=json, headers=headers)
    except (TimeoutError, httpx.TimeoutException):
        raise ProviderUnavailable("provider_timeout", detail="no complete answer in time") from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as exc:
        raise ProviderUnavailable("provider_unreachable", detail=type(exc).__name__) from None


async def _call(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None,
    json: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
) -> Answer:
    async with http.stream(method, url, data=form, json=json, headers=headers) as response:
        status = response.status_code
        if status >= 500 or status == 429:
            raise ProviderUnavailable("provider_error", detail=f"status {status}")
        if 300 <= status < 400:
            raise ProviderUnavailable("provider_redirect", detail=f"status {status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise ProviderUnavailable("provider_too_large", detail="encoded although identity was asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MAX_BODY:
                raise ProviderUnavailable("provider_too_large", detail="body over the limit")
        return Answer(status, response.headers.get("content-type", ""), bytes(body))
