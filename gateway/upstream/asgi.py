"""An upstream in this process: `asgi:module:app`. Its scope holds what a remote upstream would be sent."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.contract import CloseCode
from gateway.headers.request import RawHeaders
from gateway.upstream.asgi_calls import HttpCall, SocketCall
from gateway.upstream.client_side import body_length
from gateway.upstream.lifespan import Lifespan
from gateway.upstream.messages import CleanAnswer, RelayResult, RewriteResponse, SocketEnd
from gateway.upstream.socket_closer import SocketCloser


def load_application(target: str) -> ASGIApp:
    """Import what `asgi:module:attribute` names.

    Raises:
        ValueError: it cannot be imported or called; the message can be shown in a report on the configuration.
    """
    module_name, _, attribute = target.removeprefix("asgi:").partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in (attribute or "app").split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as exc:
        raise ValueError(f"{target} cannot be imported: {exc}") from exc
    if not callable(found):
        raise ValueError(f"{target} is not an ASGI application")
    application: ASGIApp = found
    return application


class AsgiUpstream:
    """An application, its lifespan, and the calls to it. Call `start` before the first call and `stop` after the
    last. `application` is used in place of what `target` names."""

    def __init__(self, target: str, *, application: ASGIApp | None = None) -> None:
        self._app = application or load_application(target)
        self._lifespan = Lifespan(self._app)

    async def start(self) -> None:
        """Run the application's start-up.

        Raises:
            UpstreamFailed: `upstream_failed`, when the application says that it cannot start.
        """
        await self._lifespan.start()

    async def stop(self) -> None:
        await self._lifespan.stop()

    async def relay_http(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        request_headers: RawHeaders,
        target: bytes,
        root_path: str,
        max_body_bytes: int,
        rewrite_response: RewriteResponse,
    ) -> RelayResult:
        """Answer one request. `root_path` is the stripped prefix or "", and `target` comes without it.

        Raises:
            AuthError: before the response has begun: `UpstreamFailed` when the application breaks, 413 for the body.
        """
        has_body, _ = body_length(scope, max_body_bytes)
        framing = _framing_headers(scope) if has_body else []
        call = HttpCall(receive, send, max_body_bytes=max_body_bytes, rewrite_response=rewrite_response)
        try:
            await self._app(
                self._scope(scope, [*request_headers, *framing], target=target, root_path=root_path),
                call.receive,
                call.send,
            )
        except OSError as exc:
            if not call.is_client_gone:
                call.fail(exc)
        except Exception as exc:
            call.fail(exc)
        return call.result()

    async def relay_websocket(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        request_headers: RawHeaders,
        target: bytes,
        root_path: str,
        subprotocols: Sequence[str],
        max_client_message: int,
        closer: SocketCloser,
        clean_answer: CleanAnswer,
        on_client_message: Callable[[], None] | None = None,
    ) -> SocketEnd:
        """Run one socket until the application, the client or `closer` ends it."""
        call = SocketCall(
            scope,
            receive,
            send,
            max_client_message=max_client_message,
            on_client_message=on_client_message,
            clean_answer=clean_answer,
        )
        headers = _with_subprotocols(request_headers, subprotocols)
        inner = self._scope(scope, headers, target=target, root_path=root_path)
        inner["subprotocols"] = list(subprotocols)
        running = asyncio.ensure_future(self._app(inner, call.receive, call.send))
        ordered = asyncio.create_task(closer.wait())
        too_large = asyncio.create_task(call.met_too_large.wait())
        try:
            await asyncio.wait({running, ordered, too_large}, return_when=asyncio.FIRST_COMPLETED)
            if ordered.done():
                await call.end_by_gateway(ordered.result().code, ordered.result().reason, running)
            elif too_large.done():
                await call.end_by_gateway(CloseCode.TOO_LARGE, "message too large", running)
            else:
                await call.end_by_application(running)
        finally:
            for task in (running, ordered, too_large):
                task.cancel()
            await asyncio.gather(running, ordered, too_large, return_exceptions=True)
        return call.result()

    def _scope(self, scope: Scope, headers: RawHeaders, *, target: bytes, root_path: str) -> Scope:
        """Build a new scope for the application: the gateway's own state and extensions do not reach it."""
        raw_path, _, query = target.partition(b"?")
        prefix = root_path.rstrip("/")
        inner: Scope = {
            key: scope[key]
            for key in ("type", "asgi", "http_version", "method", "scheme", "client", "server")
            if key in scope
        }
        is_socket = scope["type"] == "websocket"
        answers = is_socket and "websocket.http.response" in (scope.get("extensions") or {})
        inner.update(
            path=prefix + unquote(raw_path.decode("ascii")),
            raw_path=prefix.encode("utf-8") + raw_path,
            query_string=query,
            root_path=prefix,
            headers=headers,
            extensions={"websocket.http.response": {}} if answers else {},
            state=dict(self._lifespan.state),
        )
        return inner


def _with_subprotocols(headers: RawHeaders, subprotocols: Sequence[str]) -> RawHeaders:
    """Put the subprotocols into the header too: some applications read the header and not the scope (Streamlit
    does)."""
    kept = [(name, value) for name, value in headers if name != b"sec-websocket-protocol"]
    if subprotocols:
        kept.append((b"sec-websocket-protocol", ", ".join(subprotocols).encode("latin-1")))
    return kept


def _framing_headers(scope: Scope) -> RawHeaders:
    names = (b"content-length", b"transfer-encoding")
    return [(name, value) for name, value in scope["headers"] if name in names]
