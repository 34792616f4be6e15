"""HTTP calls to providers: limited in size and time, without redirects, cookies or proxies from the environment.

A forward proxy of the settings is used if there is one. The provider's certificate is checked all the same: the proxy
only passes bytes on.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from bff.errors import ProviderUnavailable
from bff.forward_proxies import ProxyRule

MAX_BODY = 1_048_576
_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)
_NO_PROXY = ProxyRule()


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of at most `MAX_BODY` bytes. For 5xx and 429, `ProviderUnavailable` is raised instead."""

    status: int
    content_type: str
    body: bytes = field(repr=False)


class _Ways(httpx.AsyncBaseTransport):
    """Two transports: directly, and through the proxy of `rule`."""

    def __init__(self, rule: ProxyRule, verify: ssl.SSLContext) -> None:
        self._rule = rule
        self._direct = httpx.AsyncHTTPTransport(verify=verify, limits=_LIMITS, trust_env=False)
        self._proxied = self._direct
        if rule.url:
            proxy = httpx.Proxy(rule.url, ssl_context=verify if rule.url.startswith("https:") else None)
            self._proxied = httpx.AsyncHTTPTransport(verify=verify, limits=_LIMITS, trust_env=False, proxy=proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        is_proxied = self._rule.is_for(url.host, url.port or (443 if url.scheme == "https" else 80))
        return await (self._proxied if is_proxied else self._direct).handle_async_request(request)

    async def aclose(self) -> None:
        await self._direct.aclose()
        await self._proxied.aclose()


def build_http_client(timeout: float, *, ca_file: str = "", proxy: ProxyRule = _NO_PROXY) -> httpx.AsyncClient:
    """Make a client that keeps no cookies. `timeout` is seconds; `ca_file` replaces the system's trust store."""
    return httpx.AsyncClient(
        transport=_Ways(proxy, ssl.create_default_context(cafile=ca_file or None)),
        timeout=timeout,
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
        ProviderUnavailable: `provider_timeout`, `provider_unreachable`, `provider_proxy`, `provider_error` (5xx, 429),
            `provider_redirect`, `provider_too_large`.
    """
    try:
        async with asyncio.timeout(deadline):
            return await _call(http, method, url, form=form, json=json, headers=headers)
    except (TimeoutError, httpx.TimeoutException):
        raise ProviderUnavailable("provider_timeout", detail="no complete answer in time") from None
    except httpx.ProxyError as exc:
        raise ProviderUnavailable("provider_proxy", detail=_said_by_proxy(exc)) from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as exc:
        raise ProviderUnavailable("provider_unreachable", detail=reason_of(exc)) from None


def reason_of(error: BaseException) -> str:
    """Say in this machine's own words why a call failed. What the other side sent is not repeated."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, ssl.SSLError):
            return _words(cause)
    return type(error).__name__


def _words(error: OSError) -> str:
    """Return the system's words for its error. The event loop writes an address before them."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return (error.strerror or "").lower()
    return os.strerror(error.errno).lower()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what led to it, the nearest first."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__


def _said_by_proxy(error: httpx.ProxyError) -> str:
    """Return the status of a proxy that refuses. Its words are not for the log: they may be anything."""
    status = str(error)[:3]
    return f"the proxy answered {status}" if status.isascii() and status.isdigit() else "the proxy refused"


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
