"""A proxy that asks the forward-auth listener of a running door, over a raw socket and as each mode asks."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

MODES = ("nginx", "traefik", "caddy", "envoy", "haproxy")
"""Every mode of `[forward_auth] modes`."""
ASKING: dict[str, Any] = {"forward_auth": {"modes": list(MODES)}, "server": {"trusted_proxies": ["127.0.0.0/8"]}}
"""Tables of a door that answers every mode to programs on this machine."""
NAVIGATION = (("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "none"))
XHR = (("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Site", "same-origin"))
IDENTITY = (
    *("x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-roles"),
    *("x-auth-request-preferred-username", "x-auth-request-name", "x-auth-request-provider", "x-auth-request-id"),
    "x-auth-request-omitted",
)
"""What each yes about a route with the default preset has, empty or not."""
Lines = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer of the listener: its status, header lines in order, body, and the size of its head in bytes."""

    status: int
    lines: tuple[tuple[str, str], ...]
    body: bytes
    head_bytes: int

    def all(self, name: str) -> list[str]:
        return [value for line, value in self.lines if line == name.lower()]

    def one(self, name: str) -> str:
        """The value of a header that must be there exactly once."""
        (value,) = self.all(name)
        return value


@dataclass(frozen=True, slots=True)
class Asker:
    """A proxy of `mode` that asks about requests to `host`. `cookie` is a session cookie's value."""

    port: int
    host: str
    mode: str = "nginx"
    cookie: str = ""
    scheme: str = "http"

    def ask(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: Lines = NAVIGATION,
        path: str = "",
        asked_with: str = "GET",
        left_out: Collection[str] = (),
    ) -> Verdict:
        """Ask about `method` and `target`.

        `path` replaces that of the question, `asked_with` is its method, and `left_out` are headers of the proxy that
        it does not send.
        """
        question, own = path or f"/auth/verify/{self.mode}", [("Host", "127.0.0.1")]
        match self.mode:
            case "nginx" | "haproxy":
                own += [("X-Original-Method", method), ("X-Original-URL", f"{self.scheme}://{self.host}{target}")]
            case "traefik" | "caddy":
                forwarded = {"Method": method, "Proto": self.scheme, "Host": self.host, "Uri": target}
                own += [(f"X-Forwarded-{name}", value) for name, value in forwarded.items()]
            case _:
                own, asked_with, question = [("Host", self.host)], method, path or question + target
        lines = [line for line in (*own, *headers) if line[0] not in left_out]
        if self.cookie:
            lines.append(("Cookie", f"vestibule={self.cookie}"))
        return ask_raw(self.port, question, lines, method=asked_with)


def ask_raw(port: int, target: str, lines: Lines, *, method: str = "GET", body: bytes = b"") -> Verdict:
    """Send one question with exactly these header lines and read the answer to its end."""
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode("latin-1") + body)
        received = b""
        while chunk := connection.recv(65_536):
            received += chunk
    raw, _, rest = received.partition(b"\r\n\r\n")
    status, *read = raw.decode("latin-1").split("\r\n")
    parsed = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in read))
    return Verdict(int(status.split()[1]), parsed, rest, len(raw) + 4)
