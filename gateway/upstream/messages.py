"""What goes to an upstream and what the relay reports; the vocabulary of `gateway.upstream`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bff.errors import AuthError
from gateway.headers.request import RawHeaders


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request; `target` goes on the wire exactly as given, behind the upstream's own base path.

    `headers` are final but for framing, which the transport sets: Content-Length for a `content_length`, chunked for a
    `body` without one.
    """

    method: str
    target: bytes
    headers: RawHeaders
    body: AsyncIterator[bytes] | None = field(default=None, repr=False)
    content_length: int | None = None


class BodyTransform(Protocol):
    """Change a body while it passes: `feed` gives what can go on, `finish` what was held back.

    The response starts with `headers`, which may be decided by the body's first bytes: None until then, and never None
    once a byte was given or the body is finished.
    """

    @property
    def headers(self) -> RawHeaders | None: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


RewriteResponse = Callable[[int, RawHeaders], tuple[RawHeaders, BodyTransform | None]]
"""Called once with status and headers before anything reaches the client; may raise `UpstreamFailed`.

Gives the headers of a response whose body passes as it is, or those from which a transform makes its own.
"""


CleanAnswer = Callable[[int, RawHeaders], RawHeaders]
"""Called with status and headers of the answer to a handshake, 101 or a refusal; may raise `UpstreamFailed`."""


@dataclass(frozen=True, slots=True)
class RelayResult:
    """How one HTTP exchange went; `status` 0 when the client left before a response began.

    With `error` or `is_client_gone` the response was not finished: return from the ASGI application without another
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
    """How one WebSocket ended and who ended it; `code` 0 and an HTTP `status` when it was refused before."""

    code: int
    reason: str
    by: Side
    client_messages: int = 0
    upstream_messages: int = 0
    status: int = 101
