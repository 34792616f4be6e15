"""One request as the recording upstream saw it, byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

HeaderPairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request. Bytes are as they came; `body` and `wire_body` keep the first `keep_body_bytes` only."""

    head: bytes = field(repr=False)
    """Request line and header block, with the empty line."""
    method: str
    target: bytes
    version: str
    headers: HeaderPairs
    """Name and value in order and in the client's spelling."""
    body: bytes = field(repr=False)
    """Without chunk framing."""
    wire_body: bytes = field(repr=False)
    """With chunk framing and trailers."""
    body_size: int
    body_sha256: str
    trailers: HeaderPairs
    connection: int
    """Counts connections from 1: equal numbers mean keep-alive."""
    at: float
    complete: bool = True
    """False if the client went away before the end of its body."""

    @property
    def request_line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def path(self) -> str:
        """The target without its query, not decoded."""
        return self.target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> str:
        return self.target.partition(b"?")[2].decode("latin-1")

    def values(self, name: str) -> list[str]:
        """Every value of a header, with any spelling of its name."""
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for header, value in self.headers if header.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The value of a header that must not occur twice; None if it is missing."""
        values = self.values(name)
        if len(values) > 1:
            raise AssertionError(f"{name} occurs {len(values)} times: {values}")
        return values[0] if values else None

    def names(self) -> list[str]:
        """Header names in order and spelling."""
        return [name.decode("latin-1") for name, _ in self.headers]

    @property
    def cookies(self) -> dict[str, str]:
        pairs = [part.strip().partition("=") for value in self.values("cookie") for part in value.split(";")]
        return {name: value for name, _, value in pairs if name}

    @property
    def subprotocols(self) -> list[str]:
        """The entries of Sec-WebSocket-Protocol, in order."""
        return [entry.strip() for value in self.values("sec-websocket-protocol") for entry in value.split(",")]

    def is_websocket(self) -> bool:
        return "websocket" in (value.lower() for value in self.values("upgrade"))

    def json(self) -> Any:
        return json.loads(self.body)

    def as_json(self) -> dict[str, Any]:
        """What the default answer echoes; binary parts as Latin-1."""
        return {
            "method": self.method,
            "target": self.target.decode("latin-1"),
            "version": self.version,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body": self.body[:65_536].decode("latin-1"),
            "body_size": self.body_size,
            "body_sha256": self.body_sha256,
            "trailers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.trailers],
            "connection": self.connection,
        }
