"""The types of `gateway.upstream`: what goes to an upstream, and what the relay reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bff.errors import AuthError
from gateway.headers.request import RawHeaders


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request. `target` is sent exactly as given, after the upstream's own base path.

    `headers` are final. The transport adds only the framing: Content-Length for a `content_length`, chunked for a
    `body` without one.
    """

    method: str
    target: bytes
    headers: RawHeaders
    body: AsyncIterator[bytes] | None = field(default=None, repr=False)
    content_length: int | None = None


class BodyTransform(Protocol):
    """Change a body while it passes: `feed` returns what can be sent on, `finish` returns what was held back.

    The response starts with `headers`. The body's first bytes may decide them: they are None until then, and never None
    once a byte was returned or the body is finished.
    """

    @property
    def headers(self) -> RawHeaders | None: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


RewriteResponse = Callable[[int, RawHeaders], tuple[RawHeaders, BodyTransform | None]]
"""A function that is called once with status and headers before anything reaches the client; may raise
`UpstreamFailed`.

It returns headers, and a transform of the body or None. A transform makes the final headers from these.
"""


CleanAnswer = Callable[[int, RawHeaders], RawHeaders]
"""Called with status and headers of the answer to a handshake, 101 or a refusal; may raise `UpstreamFailed`."""


@dataclass(frozen=True, slots=True)
class RelayResult:
    """How one HTTP exchange went. `status` is 0 when the client left before a response began.

    With `error` or `is_client_gone` the response was not finished. The ASGI application then returns without another
    message, and the server closes the client's connection.
    """

    status: int
    request_bytes: int = 0
    response_bytes: int = 0
    error: AuthError | None = None
    is_client_gone: bool = False


Side = Literal["client", "upstream", "gateway"]


@dataclass(frozen=True, slots=True)
class SocketEnd:
    """How one WebSocket ended, and which side ended it. A refused handshake has `code` 0 and an HTTP `status`."""

    code: int
    reason: str
    by: Side
    client_messages: int = 0
    status: int = 101
