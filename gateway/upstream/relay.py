"""Carry one HTTP exchange between an ASGI client and an upstream. Both directions are streamed, nothing is held
back."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from bff.errors import AuthError
from gateway.headers.request import RawHeaders
from gateway.upstream.client_side import ClientBody, body_length
from gateway.upstream.http import HttpUpstream, UpstreamResponse
from gateway.upstream.messages import BodyTransform, RelayResult, RewriteResponse, UpstreamRequest

_WATCH_AFTER: Final = 0.05
"""Seconds before a task starts to watch for a client that leaves: most exchanges are over by then."""


async def relay_http(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    upstream: HttpUpstream,
    request_headers: RawHeaders,
    target: bytes,
    max_body_bytes: int,
    rewrite_response: RewriteResponse,
) -> RelayResult:
    """Relay one exchange. `request_headers` are final, `target` is the upstream's request-target, 0 is no body limit.

    When the client leaves, the upstream exchange ends. A failure after the response has begun is in the result.

    Raises:
        AuthError: before the response has begun: `UpstreamFailed`, or `BadRequest` for the body.
    """
    has_body, length = body_length(scope, max_body_bytes)
    relay = _Relay(receive, send, max_body_bytes=max_body_bytes, idle_timeout=upstream.idle_timeout)
    body = aiter(relay.body) if has_body else None
    request = UpstreamRequest(scope["method"], target, request_headers, body, length if has_body else None)
    watch = asyncio.get_running_loop().call_later(_WATCH_AFTER, partial(relay.watch, has_body=has_body))
    try:
        await relay.run(upstream, request, rewrite_response)
    except asyncio.CancelledError:
        if not relay.is_client_gone or relay.task.uncancel() > 0:
            raise
    except OSError:
        relay.is_client_gone = True  # A server raises this from `send` when the connection is lost.
    finally:
        watch.cancel()
        relay.close()
    return relay.result()


class _Relay:
    """The state of one exchange. When the client leaves, the task that runs it is cancelled, wherever it waits."""

    def __init__(self, receive: Receive, send: Send, *, max_body_bytes: int, idle_timeout: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("relay_http runs in a task")
        self.task = task
        self.is_client_gone = False
        self.body = ClientBody(
            receive, max_body_bytes=max_body_bytes, idle_timeout=idle_timeout, on_gone=self._on_client_gone
        )
        self._send = send
        self._status = 0
        self._sent = 0
        self._error: AuthError | None = None
        self._is_over = False
        self._response: UpstreamResponse | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def run(self, upstream: HttpUpstream, request: UpstreamRequest, rewrite_response: RewriteResponse) -> None:
        self._response = response = await upstream.send(request)
        headers, transform = rewrite_response(response.status, response.headers)
        if response.status in (204, 304):
            # A 304 may state a length, and servers would wait for that body.
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        await self._start(response.status, headers if transform is None else transform.headers)
        try:
            await self._send_body(response, transform)
        except AuthError as exc:
            if not self._status:
                raise
            self._error = exc

    async def _start(self, status: int, headers: RawHeaders | None) -> None:
        """Send status and headers once they are decided."""
        if headers is not None and not self._status:
            self._status = status
            await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _send_body(self, response: UpstreamResponse, transform: BodyTransform | None) -> None:
        is_finished = False
        while not is_finished:
            data = await response.read()
            is_finished = response.is_finished
            if transform is not None:
                data = transform.feed(data) + (transform.finish() if is_finished else b"")
                await self._start(response.status, transform.headers)
            if data or is_finished:
                self._sent += len(data)
                await self._send({"type": "http.response.body", "body": data, "more_body": not is_finished})

    def watch(self, *, has_body: bool) -> None:
        self._watcher = asyncio.create_task(self.body.watch(has_body=has_body))

    def close(self) -> None:
        self._is_over = True
        if self._watcher is not None:
            # Nobody waits for its end: it only listens, and what it hears does not count any more.
            self._watcher.cancel()
        if self._response is not None:
            self._response.close()

    def result(self) -> RelayResult:
        return RelayResult(
            self._status,
            request_bytes=self.body.received,
            response_bytes=self._sent,
            error=self._error,
            is_client_gone=self.is_client_gone,
        )

    def _on_client_gone(self) -> None:
        if not self._is_over and not self.is_client_gone:
            self.is_client_gone = True
            self.task.cancel()
